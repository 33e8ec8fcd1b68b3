"""What teams of workers made of one problem, as the record tells it; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

from thalweg.parallel.engine import Tally
from thalweg.parallel.result import Point, RunningLoss
from thalweg.record import Record

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class Team:
    """One training by so many workers, of so many ``gradients`` that were to be measured.

    ``settings`` are the algorithm's and those of the training. ``history`` has the looks at the
    server's parameters, ``losses`` the running loss in between. Times are in ``unit``; the first
    batch was dealt out at ``began``. ``model`` is there where this process trained it.
    """

    id: str
    workers: int
    gradients: int
    unit: str
    settings: Mapping[str, Any]
    status: str
    history: tuple[Point, ...]
    losses: tuple[RunningLoss, ...]
    began: float
    tally: Tally
    provenance: Mapping[str, Any]
    model: nn.Module | None = None

    @property
    def diverged(self) -> bool:
        """Whether the loss at the end was not a finite number."""
        return bool(self.history) and not isfinite(self.history[-1].judged)

    @property
    def lowest(self) -> float | None:
        """The lowest loss at any look, None where there was no finite one."""
        return min(filter(isfinite, (point.judged for point in self.history)), default=None)

    @property
    def speed(self) -> float | None:
        """Examples in a unit of time, from the first batch that was dealt out to the end.

        So the start of processes does not count. None where no gradient was measured.
        """
        if not self.history or self.history[-1].time <= self.began:
            return None
        return self.history[-1].examples / (self.history[-1].time - self.began)

    def reached(self, loss: float) -> float | None:
        """Return when the loss was first as low, on the straight line between two looks.

        The start of processes counts. None where it never was.
        """
        if self.history and self.history[0].judged <= loss:
            return self.history[0].time
        for before, after in pairwise(self.history):
            if after.judged <= loss:
                fall = before.judged - after.judged
                share = (before.judged - loss) / fall if isfinite(fall) else 1.0
                return before.time + share * (after.time - before.time)
        return None


@dataclass(frozen=True, eq=False)
class Teams:
    """The trainings of one problem that differ in the number of workers alone, one or several.

    They are in order of that number.
    """

    problem: str
    description: str
    teams: tuple[Team, ...]

    @property
    def diverged(self) -> bool:
        """Whether every one of them diverged."""
        return all(team.diverged for team in self.teams)

    @property
    def target(self) -> float | None:
        """The lowest loss that all reached that did not diverge, None where there is none."""
        found = [team.lowest for team in self.teams if not team.diverged]
        return max((loss for loss in found if loss is not None), default=None)


def read(book: Record, id: str, model: nn.Module | None = None) -> Team:
    """Return what the record says about a training with several workers."""
    run = book.find(id)
    tally, began = run.events.get("tally"), run.events.get("began")
    return Team(
        id=run.id,
        workers=run.hyper["workers"],
        gradients=began.data["gradients"] if began else 0,
        unit=run.hyper["time"],
        settings=run.hyper,
        status=run.status,
        history=tuple(Point(**event.data) for event in book.events(run.id, "parallel")),
        losses=tuple(
            RunningLoss(event.step, event.data["examples"], event.data["time"], event.value or 0.0)
            for event in book.events(run.id, "loss")
        ),
        began=(began and began.value) or 0.0,
        tally=Tally.of_data(tally.data) if tally else Tally(),
        provenance=run.provenance,
        model=model,
    )
