"""A shard: a slice of the parameters, the state of their rule, and a version that counts updates.

Shards know nothing of each other, of models or of how messages travel; an engine brings them what
workers send. Nothing that a shard is given is kept or changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import BadValue
from thalweg.optim import Optimizer
from thalweg.parallel.flat import Layout, finite
from thalweg.parallel.server.readings import Readings
from thalweg.parallel.server.serving import Serving
from thalweg.parallel.server.versions import Outcome, Reading, Receipt, Version
from thalweg.rules import Rule
from thalweg.rules.delay import READ_WITH_PARAMETER


class Shard:
    """Holds the *part* of the vector of parameters that begins as *values*.

    ``push`` takes a gradient and ``pull`` returns parameters. Pushes of one worker are expected in
    the order of their sequence numbers; one that comes twice is applied once.
    """

    def __init__(self, layout: Layout, part: range, values: Tensor, serving: Serving) -> None:
        self.layout, self.part, self.serving = layout, part, serving
        self.values = values[part.start : part.stop].detach().clone()
        self.pieces = list(layout.pieces(part))
        self.parameters = [nn.Parameter(piece.of(self.values)) for piece in self.pieces]
        self.optimizer = Optimizer(self.parameters, serving.rule, **serving.hyper)
        self.version = Version(0, 0)
        self.members: set[str] = set()
        self._last: dict[str, int] = {}
        self._round: dict[str, tuple[Tensor, float] | None] = {}
        self._late = [] if serving.rounds else _slots_of_late_gradients(serving.rule)
        self._readings = Readings()

    # Who takes part.

    def join(self, worker: str, layout: Layout) -> None:
        """Let a worker take part; raise BadValue where its model is not the server's."""
        self.layout.check_same(layout, worker)
        self.members.add(worker)

    def leave(self, worker: str) -> None:
        """Wait no longer for a worker, which ended or died; what it pushed stays."""
        self.members.discard(worker)
        self._readings.leave(worker)
        self._close_round()

    @property
    def gathered(self) -> int:
        """How many pushes the open round has."""
        return len(self._round)

    def pushes(self, worker: str) -> int:
        """Return the number of the last push that came from a worker, 0 before the first."""
        return self._last.get(worker, 0)

    # What workers ask for.

    def pull(self, worker: str, since: Version | None = None) -> Reading | None:
        """Return the parameters, or None while there is nothing newer than the version *since*."""
        if since is not None and since.life == self.version.life and since >= self.version:
            return None
        if self._late:
            self._readings.note(worker, self.version.update, self._kept)
        return Reading(self.values.clone(), (self.version,))

    def push(
        self, gradient: Tensor, version: Version, worker: str, sequence: int, weight: float = 1.0
    ) -> Receipt:
        """Make an update of a gradient measured at a version, or say why not.

        *sequence* counts the pushes of this worker from 1. Raises BadValue for a gradient that is
        not of this shard's size and dtype.
        """
        self._check(gradient, worker)
        if worker not in self.members:
            return Receipt(Outcome.STRANGER)
        if sequence <= self._last.get(worker, 0):
            return Receipt(Outcome.DUPLICATE)
        self._last[worker] = sequence
        receipt = self._judged(gradient, version)
        if receipt.outcome is Outcome.APPLIED:
            return self._taken(gradient, version, worker, weight, receipt)
        if receipt.outcome is Outcome.NONFINITE and self.serving.rounds:
            self._round[worker] = None
            self._close_round()
        return receipt

    def _check(self, gradient: Tensor, worker: str) -> None:
        if gradient.shape != self.values.shape or gradient.dtype != self.values.dtype:
            raise BadValue(
                f"{worker} pushed a gradient of shape {tuple(gradient.shape)} and {gradient.dtype} "
                f"to a shard of {len(self.values):,} elements of {self.values.dtype}. The worker's "
                "model must be the server's, and be cut as the server's is."
            )

    def _judged(self, gradient: Tensor, version: Version) -> Receipt:
        """Return what is to become of a push that is new."""
        staleness = self.version.update - version.update
        if version.life != self.version.life or staleness < 0:
            return Receipt(Outcome.UNKNOWN)
        bound = 0 if self.serving.rounds else self.serving.staleness
        if bound is not None and staleness > bound:
            return Receipt(Outcome.STALE, staleness)
        return Receipt(Outcome.APPLIED if finite(gradient) else Outcome.NONFINITE, staleness)

    def _taken(
        self, gradient: Tensor, version: Version, worker: str, weight: float, receipt: Receipt
    ) -> Receipt:
        """Make the update, or keep the gradient for the end of the round."""
        if self.serving.rounds:
            self._round[worker] = gradient.clone(), weight
            self._close_round()
            return receipt
        if self._late and not self._put_read(worker, version):
            return Receipt(Outcome.UNKNOWN)
        self._update(gradient)
        return receipt

    # Updates.

    def _update(self, gradient: Tensor) -> None:
        for p, piece in zip(self.parameters, self.pieces, strict=True):
            p.grad = piece.of(gradient)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._count()

    def _count(self) -> None:
        self.version = self.version._replace(update=self.version.update + 1)

    def _close_round(self) -> None:
        """Make the update of a round in which every worker has pushed."""
        if not self._round or not self.members <= self._round.keys():
            return
        found = [pushed for _, pushed in sorted(self._round.items()) if pushed is not None]
        self._round = {}
        if found:
            self._update(self._together(found))
        else:
            self._count()

    def _together(self, pushed: list[tuple[Tensor, float]]) -> Tensor:
        """Return the weighted mean of a round, or the sum."""
        total = sum(weight for _, weight in pushed)
        shares = [weight / total if self.serving.mean else 1.0 for _, weight in pushed]
        whole = pushed[0][0] * shares[0]
        for (gradient, _), share in zip(pushed[1:], shares[1:], strict=True):
            whole.add_(gradient, alpha=share)
        return whole

    # What a rule of late gradients must know of the past.

    def _kept(self) -> Tensor:
        """Return the state that a rule of late gradients will be reminded of, as one vector."""
        return torch.cat([piece.flatten() for _, kept in self._late for piece in self._slot(kept)])

    def _slot(self, name: str) -> Iterator[Tensor]:
        """Yield a slot of each piece, which is zero before the first update."""
        for p in self.parameters:
            yield self.optimizer.state.get(p, {}).get(name, torch.zeros_like(p))

    def _put_read(self, worker: str, version: Version) -> bool:
        """Put the state as it was at a version beside that of now; whether it is known."""
        read = self._readings.at(worker, version.update)
        if read is None:
            return False
        for place, (name, _) in enumerate(self._late):
            slice_ = read[place * len(self.values) : (place + 1) * len(self.values)]
            for slot, piece in zip(self._slot(name), self.pieces, strict=True):
                slot.copy_(piece.of(slice_))
        return True

    # Snapshots.

    def state(self) -> dict[str, Any]:
        """Return all that a restored shard needs; workers join it anew."""
        return {
            "part": (self.part.start, self.part.stop, self.layout.size),
            "values": self.values,
            "optimizer": self.optimizer.state_dict(),
            "version": tuple(self.version),
            "sequences": dict(self._last),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, and begin another life: write a snapshot before use.

        Raises BadValue for the state of another part of the vector, or of another rule.
        """
        own = (self.part.start, self.part.stop, self.layout.size)
        if tuple(state["part"]) != own:
            begin, end, size = state["part"]
            raise BadValue(
                f"the snapshot is of elements {begin} to {end} of {size}, this shard holds {own[0]}"
                f" to {own[1]} of {own[2]}. Restore with the same model and number of shards."
            )
        self.optimizer.load_state_dict(state["optimizer"])
        self.values.copy_(state["values"])
        life, update = state["version"]
        self.version = Version(life + 1, update)
        self._last = dict(state["sequences"])
        self._round, self._readings, self.members = {}, Readings(), set()


def _slots_of_late_gradients(rule: Rule) -> list[tuple[str, str]]:
    """Return which slots of a rule hold what another was when the parameter was read."""
    slots = rule.signature.slots
    return [pair for pair in READ_WITH_PARAMETER.items() if pair[0] in slots]
