"""Carries messages between virtual workers and shards: late, lost, sent again, given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.random import Generator

from thalweg.parallel.engine import Tally
from thalweg.parallel.inproc.clock import Clock
from thalweg.parallel.inproc.conditions import Network
from thalweg.parallel.inproc.hosts import Host
from thalweg.parallel.inproc.worker import VirtualWorker
from thalweg.parallel.server.shard import Shard
from thalweg.parallel.server.versions import Version

Ask = Callable[[Shard, bool], Any]


@dataclass(eq=False)
class Message:
    """A question of a worker to a shard, asked until it is answered.

    *ask* puts it to a shard; an answer of None means that it has to wait there, unless it is asked
    without patience. *sizes* are the bytes of the question and of the answer.
    """

    sender: VirtualWorker
    host: Host
    ask: Ask
    sizes: tuple[int, int]
    answered: Callable[[Any], None]
    failed: Callable[[], None]
    attempts: int = 0
    done: bool = False


class Post:
    """The network of a simulation.

    What takes no time happens at once, before anything else: without delay, what a worker asks for
    and what it then sends cannot be parted by another worker.
    """

    def __init__(self, clock: Clock, network: Network, random: Generator, tally: Tally) -> None:
        self.clock, self.network, self.random, self.tally = clock, network, random, tally
        self._last_arrival: dict[tuple[VirtualWorker, Host], float] = {}

    def send(self, message: Message) -> None:
        """Send a message, for the first time or again."""
        message.attempts += 1
        if not self.network.loses(self.random):
            channel = message.sender, message.host
            delay = self.network.delay(self.random, message.sizes[0])
            arrival = max(self.clock.now + delay, self._last_arrival.get(channel, 0.0))
            self._last_arrival[channel] = arrival
            self._at(arrival, lambda: self._arrive(message))
        self._expect_answer(message)

    def _at(self, time: float, action: Callable[[], None]) -> None:
        if time <= self.clock.now:
            action()
        else:
            self.clock.at(time, action)

    def _arrive(self, message: Message) -> None:
        """Put the question to the shard; of what a dead worker had on its way half arrives."""
        host = message.host
        if host.shard is None or not (message.sender.alive or self.random.random() < 0.5):
            return
        before = host.version
        answer = message.ask(host.shard, True)
        if answer is None:
            host.waiting[message] = None
        else:
            self._answer(message, answer)
        self.look_again(host, before)

    def _answer(self, message: Message, answer: Any) -> None:
        if not self.network.loses(self.random):
            delay = self.network.delay(self.random, message.sizes[1])
            self._at(self.clock.now + delay, lambda: self._deliver(message, answer))

    def _deliver(self, message: Message, answer: Any) -> None:
        def take() -> None:
            if not message.done:
                message.done = True
                message.answered(answer)

        message.sender.when_awake(take)

    # Messages without an answer.

    def _expect_answer(self, message: Message) -> None:
        """Send the message again after a while, unless it is answered or waits at the shard."""
        if message.done or message in message.host.waiting:
            return
        attempt = message.attempts

        def look() -> None:
            waits = message.done or message in message.host.waiting
            if not waits and attempt == message.attempts:
                message.sender.when_awake(lambda: self._send_again(message, attempt))

        self.clock.after(self.network.timeout, look)

    def _send_again(self, message: Message, attempt: int) -> None:
        if message.done or attempt != message.attempts:
            return
        if message.attempts > self.network.retries:
            message.done = True
            message.failed()
            return
        self.tally.resent += 1
        self.send(message)

    # Messages that wait at a shard.

    def look_again(self, host: Host, before: Version | None) -> None:
        """Answer what waits at a shard and need not wait any longer, if its version has changed."""
        if host.version == before:
            return
        host.save_if_due()
        for message in list(host.waiting):
            self.clock.after(0, lambda message=message: self._ask_again(message))  # type: ignore[misc]

    def _ask_again(self, message: Message, patient: bool = True) -> None:
        host = message.host
        if message not in host.waiting or host.shard is None:
            return
        answer = message.ask(host.shard, patient)
        if answer is not None:
            del host.waiting[message]
            self._answer(message, answer)
            self._expect_answer(message)

    def release(self, host: Host) -> int:
        """Answer all that waits at a shard with what there is; return how many these were."""
        waiting = list(host.waiting)
        for message in waiting:
            self._ask_again(message, patient=False)
        return len(waiting)

    def forget(self, host: Host) -> None:
        """Let those who waited at a shard that died ask again in time."""
        waiting, host.waiting = list(host.waiting), {}
        for message in waiting:
            self._expect_answer(message)
