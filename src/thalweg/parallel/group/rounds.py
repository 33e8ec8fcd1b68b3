"""Rounds by collectives: every process runs one worker's script and holds the whole server.

What workers push is added up over all processes, and each makes the same update of the sum.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.errors import WorkerDied
from thalweg.parallel.algorithms.algorithm import Gradient, Measured, Push, Reading, Request
from thalweg.parallel.engine import Job, Tally
from thalweg.parallel.flat import finite
from thalweg.parallel.group.group import Group
from thalweg.parallel.group.reporter import Reporter
from thalweg.parallel.server.shard import Shard
from thalweg.parallel.server.versions import Outcome, Receipt

ALL = "all workers"
"""The name by which the server knows those who push together."""


class Standing(NamedTuple):
    """How a process comes to a round: with a push or without, of what weight, or with an error."""

    pushes: float
    finite: float
    weight: float
    failed: float = 0.0


class Rounds:
    """A job under way in one process of a group; the server begins with *start*."""

    def __init__(self, group: Group, job: Job, start: Tensor) -> None:
        self.group, self.job = group, job
        layout, self.serving = job.replica.layout, job.algorithm.serving(group.size)
        self.server = Shard(layout, range(layout.size), start, self.serving)
        self.server.join(ALL, layout)
        self.script = job.algorithm.script(job.seat(group.rank))
        self.tally = Tally()
        self.reporter = Reporter(group, job, self.tally)
        self._numbers = iter(range(group.rank, job.gradients, group.size))
        self._round = 0

    def run(self) -> tuple[Tensor, Tally]:
        """Carry out the script, then take part in the rounds of those whose scripts go on."""
        try:
            self._play()
        except WorkerDied:
            raise
        except Exception:
            with suppress(WorkerDied):
                self.group.rows([*Standing(0, 0, 0, failed=1), *self.reporter.row()])
            raise
        while self._meet(None):
            pass
        self._tell()
        return self.server.values, self.tally

    def _play(self) -> None:
        answer = None
        with suppress(StopIteration):
            while True:
                answer = self._answer(self.script.send(answer))

    def _answer(self, request: Request) -> Measured | Reading | None:
        match request:
            case Gradient(at):
                return self._measured(at)
            case Push():
                self._meet(request)
                return None
            case _:
                return self.server.pull(ALL)

    def _measured(self, at: Tensor) -> Measured | None:
        number = next(self._numbers, None)
        if number is None:
            return None
        found = self.job.replica.measure(at, number)
        self.reporter.note(found.loss, found.examples)
        return found

    # Rounds.

    def _meet(self, push: Push | None) -> bool:
        """Take part in a round, with a push or without; return whether anybody pushed."""
        rows = self.group.rows([*_standing(push), *self.reporter.row()])
        standings = [Standing(*row[:4]) for row in rows]
        _check_alive(standings)
        due = self.reporter.take([row[4:] for row in rows])
        if any(each.pushes for each in standings):
            self._update(push, standings)
        if due:
            self._tell()
        return any(each.pushes for each in standings)

    def _update(self, push: Push | None, standings: list[Standing]) -> None:
        taken = [each for each in standings if each.pushes and each.finite]
        refused = sum(bool(each.pushes) for each in standings) - len(taken)
        made = self._made(push, taken)
        for receipt in [Receipt(Outcome.NONFINITE)] * refused + [made] * len(taken):
            self.tally.note(receipt)

    def _made(self, push: Push | None, taken: list[Standing]) -> Receipt:
        """Make the update of what was pushed and is finite, weighted; none where nothing is."""
        whole = torch.full_like(self.server.values, 0.0 if taken else math.nan)
        total = sum(each.weight for each in taken)
        if push is not None and finite(push.vector):
            whole = push.vector * (push.weight / total if self.serving.mean else 1.0)
        self.group.add_up(whole)
        self._round += 1
        return self.server.push(whole, self.server.version, ALL, self._round)

    def _tell(self) -> None:
        self.reporter.tell(self.server.version.update, self.server.values.clone)


def _standing(push: Push | None) -> Standing:
    return Standing(0, 0, 0) if push is None else Standing(1, finite(push.vector), push.weight)


def _check_alive(standings: list[Standing]) -> None:
    failed = [str(rank) for rank, each in enumerate(standings) if each.failed]
    if failed:
        raise WorkerDied(
            f"the process of rank {', '.join(failed)} raised an error, which it says itself, and "
            "the others cannot go on without it."
        )
