"""The simulation itself: workers take turns in virtual time, and things break in their turn."""

from __future__ import annotations

from functools import partial
from itertools import count
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from thalweg.parallel.account import Account
from thalweg.parallel.algorithms.algorithm import Gradient, Pull, Push, Request
from thalweg.parallel.compression import Packed
from thalweg.parallel.engine import Job, Tally
from thalweg.parallel.inproc.calls import Call
from thalweg.parallel.inproc.clock import Clock
from thalweg.parallel.inproc.conditions import Fault, Network
from thalweg.parallel.inproc.distributions import Distribution
from thalweg.parallel.inproc.hosts import Host
from thalweg.parallel.inproc.post import Ask, Message, Post
from thalweg.parallel.inproc.worker import VirtualWorker
from thalweg.parallel.server.shard import Shard
from thalweg.parallel.server.versions import Reading, Receipt, Version, Versions


class Simulation:
    """A job under way: *compute* is how long a gradient takes, *detection* until a death is seen.

    Everything random is drawn from *seed*, in the order in which it happens.
    """

    def __init__(
        self, job: Job, hosts: list[Host], network: Network, compute: Distribution,
        detection: float, seed: int,
    ) -> None:  # fmt: skip
        self.job, self.hosts, self.compute, self.detection = job, hosts, compute, detection
        self.clock, self.tally = Clock(), Tally()
        self.random = np.random.default_rng(seed)
        self.post = Post(self.clock, network, self.random, self.tally)
        self.workers: dict[int, VirtualWorker] = {}
        self._lives = count()
        self.account = Account(job, self.tally, lambda: self.clock.now)
        self._last_left = 0.0

    def run(self, faults: list[Fault]) -> tuple[Tensor, Tally]:
        """Go on until no gradient is left and nobody has anything to do."""
        for rank in range(self.job.workers):
            self._start(rank)
        for fault in faults:
            self.clock.at(fault.at, partial(self._break, fault))
        self.clock.run()
        while released := sum(map(self.post.release, self.hosts)):
            self.tally.released += released
            self.clock.run()
        for host in self.hosts:
            if host.shard is None:
                self._restore(host)
        self.tally.undealt = self.account.undealt
        self._report(self._last_left)
        values = self._values()
        assert values is not None
        return values, self.tally

    # Workers.

    def _start(self, rank: int) -> None:
        """Let a worker begin, the first of its rank or one in place of it."""
        script = self.job.algorithm.script(self.job.seat(rank))
        compressors = [self.job.compression.compressor() for _ in self.hosts]
        name = f"worker {next(self._lives)}"
        worker = VirtualWorker(name, rank, script, self.clock, compressors)
        self.workers[rank] = worker
        for host in self.hosts:
            if host.shard is not None:
                host.shard.join(worker.name, self.job.replica.layout)
        self._advance(worker, None)

    def _advance(self, worker: VirtualWorker, call: Call | None) -> None:
        """Let a script go on with what it waited for, until it has to wait again."""
        while worker.alive:
            try:
                request = worker.script.send(call.replies[0] if call else None)
            except StopIteration:
                self._end(worker)
                return
            call = self._begun(worker, request)
            if not call.done:
                call.then(partial(self._advance, worker, call))
                return

    def _begun(self, worker: VirtualWorker, request: Request) -> Call:
        match request:
            case Gradient(at):
                return self._gradient(worker, at)
            case Pull(since, True):
                return self._pull(worker, since)
            case Pull():
                return self._pull_meanwhile(worker)
            case Push():
                return self._push(worker, request)

    def _end(self, worker: VirtualWorker) -> None:
        """Let a worker go once its last push is answered."""

        def leave() -> None:
            worker.alive = False
            self._leave(worker)

        (worker.sending or _nothing()).then(leave)

    def _leave(self, worker: VirtualWorker) -> None:
        self._last_left = self.clock.now
        for host in self.hosts:
            if host.shard is not None:
                before = host.version
                host.shard.leave(worker.name)
                self.post.look_again(host, before)

    # What workers want.

    def _gradient(self, worker: VirtualWorker, at: Tensor) -> Call:
        """Deal out the next batch; it is measured when the time for it is over."""
        number = self.account.deal()
        if number is None:
            return _nothing()
        call, worker.measuring = Call(), True

        def measure() -> None:
            worker.measuring = False
            worker.held += 1
            found = self.job.replica.measure(at, number)
            due = self.account.note(worker.rank, found.loss, found.examples)
            call.reply(found)
            if due:
                self._report(self.clock.now)

        self.clock.after(self.compute.draw(self.random), lambda: worker.when_awake(measure))
        return call

    def _pull(self, worker: VirtualWorker, since: Versions | None) -> Call:
        """Ask every shard for its part."""
        parts, whole = Call(len(self.hosts)), Call()

        def together() -> None:
            values = torch.cat([part.values for part in parts.replies])
            versions = tuple(version for part in parts.replies for version in part.versions)
            whole.reply(Reading(values, versions))

        parts.then(together)
        for place, host in enumerate(self.hosts):
            ask = partial(_asked, worker.name, since[place] if since is not None else None)
            self._send(worker, place, ask, (0, self._bytes(host)), parts)
        return whole

    def _pull_meanwhile(self, worker: VirtualWorker) -> Call:
        """Begin a fetch where none is under way, and answer with what the last one has brought."""
        earlier = worker.fetching
        if earlier is None or earlier.done:
            worker.fetching = self._pull(worker, None)
        newest, answer = worker.fetching, Call()
        assert newest is not None
        if newest.done:
            worker.fetching = None
            answer.reply(newest.replies[0])
        else:
            answer.reply(earlier.replies[0] if earlier and earlier.done else None)
        return answer

    def _push(self, worker: VirtualWorker, push: Push) -> Call:
        """Send a push as soon as the one before it is answered; the worker goes on meanwhile."""
        sent = Call()

        def send() -> None:
            worker.sending = self._sent(worker, push)
            sent.reply(None)

        (worker.sending or _nothing()).then(send)
        return sent

    def _sent(self, worker: VirtualWorker, push: Push) -> Call:
        worker.held = 0
        worker.sequence += 1
        answers = Call(len(self.hosts))
        for place, host in enumerate(self.hosts):
            part = worker.compressors[place](push.vector[host.part.start : host.part.stop])
            details = push.versions[place], worker.name, worker.sequence, push.weight
            ask = partial(self._pushed, part, details)
            self._send(worker, place, ask, (part.nbytes, 0), answers)
        return answers

    def _pushed(
        self, part: Packed, details: tuple[Version, str, int, float], shard: Shard, _: bool
    ) -> Receipt:
        receipt = shard.push(part.dense(self.job.start.dtype), *details)
        self.tally.note(receipt)
        return receipt

    def _send(
        self, worker: VirtualWorker, place: int, ask: Ask, sizes: tuple[int, int], call: Call
    ) -> None:
        host, answered = self.hosts[place], partial(call.reply, part=place)
        self.post.send(Message(worker, host, ask, sizes, answered, partial(self._give_up, worker)))

    def _bytes(self, host: Host) -> int:
        return len(host.part) * self.job.start.element_size()

    # What breaks.

    def _break(self, fault: Fault) -> None:
        """Let something break that is there to break."""
        if fault.kind == "kill shard":
            self._kill_shard(self.hosts[fault.target], fault.lasts)
            return
        worker = self.workers[fault.target]
        if not worker.alive:
            return
        if fault.kind == "pause worker":
            worker.pause(fault.lasts)
            return
        self._kill(worker)
        if isfinite(fault.lasts):
            self.clock.after(fault.lasts, partial(self._start_again, worker.rank))

    def _kill(self, worker: VirtualWorker) -> None:
        worker.die()
        self.tally.lost_gradients += worker.measuring + worker.held
        self.tally.lost_pushes += worker.sending.left if worker.sending else 0
        for host in self.hosts:
            host.waiting = {m: None for m in host.waiting if m.sender is not worker}
        self.clock.after(self.detection, partial(self._leave, worker))

    def _start_again(self, rank: int) -> None:
        if self.account.undealt:
            self.tally.restarts += 1
            self._start(rank)

    def _give_up(self, worker: VirtualWorker) -> None:
        """End a worker whose message was not answered however often it was sent."""
        self.tally.unreachable += 1
        self._kill(worker)

    def _kill_shard(self, host: Host, lasts: float) -> None:
        if host.shard is None:
            return
        updates, pushes = host.kill()
        self.tally.lost_updates += updates
        self.tally.lost_pushes += pushes
        self.post.forget(host)
        if isfinite(lasts):
            self.clock.after(lasts, partial(self._restore, host))

    def _restore(self, host: Host) -> None:
        if host.shard is None:
            alive = [worker.name for worker in self.workers.values() if worker.alive]
            host.restore(alive, self.job.replica.layout)
            self.tally.restored += 1

    # What is told.

    def _values(self) -> Tensor | None:
        shards = [host.shard for host in self.hosts]
        if any(shard is None for shard in shards):
            return None
        return torch.cat([shard.values for shard in shards if shard is not None])

    def _report(self, time: float) -> None:
        updates = max((host.version.update for host in self.hosts if host.version), default=0)
        self.account.tell(time, updates, self._values)


def _asked(worker: str, since: Version | None, shard: Shard, patient: bool) -> Reading | None:
    """Pull; without patience whatever there is."""
    return shard.pull(worker, since if patient else None)


def _nothing() -> Call:
    """Return a call that has come, with nothing."""
    call = Call()
    call.reply(None)
    return call
