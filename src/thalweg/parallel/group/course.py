"""Synchronous training update by update, on a copy of the model that may be wrapped or cut."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import Any

from torch import Tensor

from thalweg.parallel.account import passed
from thalweg.parallel.engine import Job, Tally
from thalweg.parallel.group.group import Group
from thalweg.parallel.group.reporter import Reporter
from thalweg.parallel.replica import Replica
from thalweg.parallel.server.versions import Outcome, Receipt
from thalweg.training.data.forms import moved


class Course(ABC):
    """A job under way in one process of a group, that begins with *start*.

    Every update is of so many batches as *at_once* says.
    """

    def __init__(self, group: Group, job: Job, start: Tensor, at_once: int) -> None:
        self.group, self.job, self.at_once = group, job, at_once
        self.batches, self.serving = job.replica.batches, job.algorithm.serving(job.workers)
        self.replica = Replica(deepcopy(job.replica.model), job.replica.loss, self.batches)
        self.replica.load(start)
        group.spread(list(self.replica.model.buffers()))
        self.tally, self.updates = Tally(), 0
        self.reporter = Reporter(group, job, self.tally)

    @abstractmethod
    def update(self, numbers: range) -> bool:
        """Make an update of these batches; return whether it was made."""

    @abstractmethod
    def values(self) -> Tensor:
        """Return all parameters as one vector, and bring the buffers of the copy up to date."""

    def run(self) -> tuple[Tensor, Tally]:
        """Go on until no gradient is left."""
        every, end = self.job.every, self.job.gradients
        for first in range(0, end, self.at_once):
            numbers = range(first, min(first + self.at_once, end))
            self._note(numbers, self.update(numbers))
            if passed(every, first, numbers.stop) or numbers.stop == end:
                self._tell()
        return self.values(), self.tally

    def _note(self, numbers: range, made: bool) -> None:
        self.updates += made
        for _ in numbers:
            self.tally.note(Receipt(Outcome.APPLIED if made else Outcome.NONFINITE))

    def _tell(self) -> None:
        values, models = self.values(), (self.job.replica.model, self.replica.model)
        for given, copied in zip(*(model.buffers() for model in models), strict=True):
            given.copy_(copied)
        self.reporter.take(self.group.rows(self.reporter.row()))
        self.reporter.tell(self.updates, lambda: values)

    def batch(self, number: int) -> Any:
        """Return the batch of that number, where the model is."""
        return tuple(moved(part, self.group.device) for part in self.batches.take(number))
