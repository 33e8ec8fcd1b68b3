"""Adds up what workers have measured, and tells a job's watcher how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from torch import Tensor

from thalweg.parallel.engine import Job, Moment, Progress, Tally


class Account:
    """The gradients of a job: dealt to workers, and measured by them; *clock* tells the time."""

    def __init__(self, job: Job, tally: Tally, clock: Callable[[], float]) -> None:
        self._job, self._tally, self._clock = job, tally, clock
        self.dealt = self.measured = 0
        self._examples = self._told = self._batch_examples = 0
        self._loss = self._began = 0.0

    @property
    def undealt(self) -> int:
        """How many gradients no worker has been given."""
        return self._job.gradients - self.dealt

    def deal(self) -> int | None:
        """Return the number of the next batch, None where none is left, or none is wanted."""
        if not self.undealt or self._job.stopped():
            return None
        if not self.dealt:
            self._began = self._clock()
        self.dealt += 1
        return self.dealt - 1

    def note(self, worker: int, loss: float, examples: int, gradients: int = 1) -> bool:
        """Count gradients of a worker; return whether to tell, which is left for the last one."""
        before, self.measured = self.measured, self.measured + gradients
        self._tally.measured[worker] += gradients
        self._examples += examples
        self._batch_examples += examples
        self._loss += loss * examples
        standing = self.measured, self._examples, self._clock(), self._began
        self._job.hear(Moment(worker, loss, *standing, self._tally))
        due = passed(self._job.every, before, self.measured)
        return due and self.measured < self._job.gradients

    def tell(self, time: float, updates: int, values: Callable[[], Tensor | None]) -> None:
        """Tell how far it has come, unless nothing happened since."""
        if self.measured == self._told:
            return
        self._told = self.measured
        loss = self._loss / self._batch_examples
        self._loss, self._batch_examples = 0.0, 0
        self._job.watch(Progress(self.measured, self._examples, updates, time, loss, values))


def passed(every: int | Fraction, before: int, now: int) -> bool:
    """Whether a count that grew has come to another multiple of *every*, or beyond it."""
    return now // every > before // every
