"""Judges the server's parameters while a training runs, and keeps how its loss fell."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import fsum
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from thalweg.parallel.account import passed
from thalweg.parallel.engine import Moment, Progress, Tally
from thalweg.parallel.replica import Replica
from thalweg.parallel.result import Point, RunningLoss
from thalweg.training.evaluation import evaluate

if TYPE_CHECKING:
    from thalweg.training.study.notes import Notes

POINTS = 200
"""How many points the curve of the running loss has at most."""


class Listener(Protocol):
    """Who hears how a training with several workers goes, in order to show it to somebody."""

    def begins(self, workers: int, gradients: int, epochs: int, unit: str) -> None:
        """Hear who begins, with how many gradients in so many epochs; time is in *unit*."""
        return

    def hears(self, moment: Moment) -> None:
        """Hear of a gradient, many times a second."""
        return

    def sees(self, point: Point) -> None:
        """Hear how the server's parameters were judged."""
        return

    def ends(self) -> None:
        """Hear that no more comes."""
        return


class Nobody(Listener):
    """Hears it all and does nothing."""


class Watch:
    """Keeps the history of a job of so many gradients, and tells a run and a listener of it.

    Before the first gradient is told, ``at_first`` is called.
    """

    def __init__(
        self, replica: Replica, valid: Any, gradients: int, run: Notes | None, listener: Listener
    ) -> None:
        self.replica, self.valid, self.run, self.listener = replica, valid, run, listener
        self.history: list[Point] = []
        self.losses: list[RunningLoss] = []
        self.gradients = gradients
        self._every = Fraction(gradients, min(gradients, POINTS))
        self._waiting: list[float] = []
        self._heard, self.began = 0, 0.0
        self.at_first: Callable[[], None] = lambda: None

    def hear(self, moment: Moment) -> None:
        """Take the loss of a batch, and note the mean of some now and then."""
        if not self._heard:
            self._begin(moment.began)
        self._waiting.append(moment.loss)
        if passed(self._every, self._heard, moment.gradients):
            self._note_losses(moment)
        self._heard = moment.gradients
        self.listener.hears(moment)

    def _begin(self, time: float) -> None:
        self.began = time
        self.at_first()
        if self.run is not None:
            self.run.emit("began", 0, time, {"gradients": self.gradients})

    def _note_losses(self, moment: Moment) -> None:
        mean = fsum(self._waiting) / len(self._waiting)
        self._waiting.clear()
        self.losses.append(RunningLoss(moment.gradients, moment.examples, moment.time, mean))
        if self.run is not None:
            data = {"examples": moment.examples, "time": moment.time}
            self.run.emit("loss", moment.gradients, mean, data)

    def __call__(self, progress: Progress) -> None:
        """Judge the parameters, and note where the training stands."""
        loss, accuracy = self._judged(progress.values())
        point = Point(*progress[:5], loss, accuracy)
        self.history.append(point)
        if self.run is not None:
            self.run.emit("parallel", point.gradients, loss, point._asdict())
            self.run.flush()
        self.listener.sees(point)

    def end(self, tally: Tally) -> None:
        """Note what became of everything."""
        if self.run is not None:
            self.run.emit("tally", tally.measured.total(), data=tally.as_data())
        self.listener.ends()

    @torch.no_grad()
    def _judged(self, values: Tensor | None) -> tuple[float | None, float | None]:
        if self.valid is None or values is None:
            return None, None
        self.replica.load(values)
        return evaluate(self.replica.model, self.replica.loss, self.valid)
