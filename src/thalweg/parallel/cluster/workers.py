"""A worker in a process of its own: it carries out a script, batch by batch, as it is told."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from thalweg.parallel.algorithms.algorithm import (
    Gradient,
    Measured,
    Pull,
    Push,
    Reading,
    Request,
    Seat,
)
from thalweg.parallel.cluster.outbox import Outbox
from thalweg.parallel.cluster.questions import Question, Servers
from thalweg.parallel.cluster.servers import Part
from thalweg.parallel.cluster.wire import Parcel, opened, unpacked
from thalweg.parallel.flat import Layout
from thalweg.parallel.server.versions import Receipt, Versions


class Report(NamedTuple):
    """What a worker did since its last report.

    The loss and examples of its batch, None and 0 if it had none; how many gradients it has not
    pushed, and how many pushes it has sent in its life; what became of those that it has heard of;
    how many messages it sent again; the other state of its model, such as the statistics of batch
    normalization; and whether its script has ended.
    """

    loss: float | None
    examples: int
    held: int
    sent: int
    receipts: list[Receipt]
    resent: int
    buffers: list[Tensor]
    ended: bool


class Worker:
    """The process of one worker, which talks to *servers*.

    In *parcel* are the algorithm, a replica and how pushes are compressed. Between two calls the
    script waits for the gradient that it has asked for.
    """

    def __init__(
        self, name: str, seat: Seat, parcel: Parcel, servers: Servers, parts: list[range], seed: int
    ) -> None:
        self.name, self.servers, self.parts = name, servers, parts
        algorithm, self.replica, compression = opened(parcel)
        self.outboxes = [Outbox(compression.compressor()) for _ in parts]
        self.script = algorithm.script(seat)
        self._asked: Gradient | None = None
        self._held = self._sequence = 0
        self._pushed: Question | None = None
        self._fetching: Question | None = None
        self._receipts: list[Receipt] = []
        torch.manual_seed(seed)

    # What the supervisor calls.

    def join(self) -> None:
        """Take part from now on; BadValue where the servers have another model."""
        self.servers.ask_alike("join", self.name, Layout.of(self.replica.model))

    def begin(self) -> Report:
        """Go on to where the script asks for its first gradient."""
        self.join()
        self._advance(None)
        return self._report(None)

    def work(self, number: int) -> Report:
        """Measure the batch of that number, and go on to where the script asks for another."""
        assert self._asked is not None
        found = self.replica.measure(self._asked.at, number)
        self._held += 1
        self._advance(found)
        return self._report(found)

    def end(self) -> Report:
        """Tell the script that no batch is left, let it end, and wait for its last push."""
        while self._asked is not None:
            self._advance(None)
        self._settle()
        return self._report(None)

    # The script.

    def _advance(self, answer: Measured | Reading | None) -> None:
        """Carry out what the script wants until it wants a gradient, or ends."""
        self._asked = None
        try:
            request = self.script.send(answer)
            while not isinstance(request, Gradient):
                request = self.script.send(self._carried_out(request))
        except StopIteration:
            return
        self._asked = request

    def _carried_out(self, request: Request) -> Reading | None:
        match request:
            case Pull(since, True):
                return self._pull(since)
            case Pull():
                return self._pull_meanwhile()
            case Push():
                self._push(request)
        return None

    def _pull(self, since: Versions | None) -> Reading:
        """Ask for the parameters, once the last push has come, until there are newer ones."""
        self._settle()
        while True:
            found = self._pulling(since).answers()
            if all(part is not None for part in found):
                return self._together(found)

    def _pull_meanwhile(self) -> Reading | None:
        """Begin a fetch where none is under way, and return what the last one has brought."""
        earlier, self._fetching = self._fetching, None
        if earlier is not None and not earlier.ready:
            self._fetching = earlier
            return None
        self._fetching = self._pulling(None)
        return None if earlier is None else self._together(earlier.answers())

    def _pulling(self, since: Versions | None) -> Question:
        patience = self.servers.timeout / 12
        places = range(len(self.parts))
        arguments = [(self.name, None if since is None else since[k], patience) for k in places]
        return self.servers.ask("pull", arguments)

    def _together(self, found: list[Part]) -> Reading:
        dtype = self.replica.layout.dtype
        values = torch.cat([unpacked(part.values, dtype) for part in found])
        return Reading(values, tuple(part.version for part in found))

    def _push(self, push: Push) -> None:
        """Send a push once the one before it is answered."""
        self._settle()
        self._held = 0
        self._sequence += 1
        details = self.name, self._sequence, push.weight
        pairs = zip(self.outboxes, self.parts, strict=True)
        boxes = [outbox.boxed(push.vector[part.start : part.stop]) for outbox, part in pairs]
        versions = zip(boxes, push.versions, strict=True)
        arguments = [(box, version, *details) for box, version in versions]
        self._pushed = self.servers.ask("push", arguments)

    def _settle(self) -> None:
        """Wait for what became of the last push."""
        pushed, self._pushed = self._pushed, None
        if pushed is None:
            return
        for place, receipt in enumerate(pushed.answers()):
            self._receipts.append(receipt or self._by_value(pushed.arguments[place], place))

    def _by_value(self, arguments: tuple[Any, ...], place: int) -> Receipt:
        """Push again to a shard that could not look into the mailbox: it is on another machine."""
        box, *details = arguments
        shard = Servers([self.servers.handles[place]], self.servers.timeout)
        receipt: Receipt
        (receipt,) = shard.ask_alike("push", self.outboxes[place].by_value(box), *details)
        self.servers.resent += shard.resent
        return receipt

    # What is told.

    def _report(self, found: Measured | None) -> Report:
        receipts, self._receipts = self._receipts, []
        resent, self.servers.resent = self.servers.resent, 0
        buffers = [buffer.detach().clone() for buffer in self.replica.model.buffers()]
        loss, examples = (found.loss, found.examples) if found else (None, 0)
        return Report(
            loss, examples, self._held, self._sequence, receipts, resent, buffers,
            self._asked is None,
        )  # fmt: skip
