"""Adds up what all processes have measured, and tells each of them the same of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from torch import Tensor

from thalweg.parallel.account import Account
from thalweg.parallel.engine import Job, Tally
from thalweg.parallel.group.group import Group


class Reporter:
    """The account of a job, kept alike in every process; its clock is the first one's."""

    def __init__(self, group: Group, job: Job, tally: Tally) -> None:
        self._group, self._job = group, job
        self._begun, self._time = time.monotonic(), 0.0
        self._account = Account(job, tally, lambda: self._time)
        self._gradients, self._examples, self._loss = 0, 0, 0.0

    def note(self, loss: float, examples: int) -> None:
        """Count a gradient of this process."""
        self._gradients += 1
        self._examples += examples
        self._loss += loss * examples

    def row(self) -> list[float]:
        """Return what this process counted since the last time, and its clock."""
        found = [self._gradients, self._examples, self._loss, time.monotonic() - self._begun]
        self._gradients, self._examples, self._loss = 0, 0, 0.0
        return found

    def take(self, rows: Sequence[Sequence[float]]) -> bool:
        """Count the rows of all processes; return whether it is time to tell."""
        self._time = rows[0][3]
        due = [
            self._account.note(rank, loss / examples, int(examples), int(gradients))
            for rank, (gradients, examples, loss, _) in enumerate(rows)
            if gradients
        ]
        return any(due)

    def tell(self, updates: int, values: Callable[[], Tensor]) -> None:
        """Tell how far the training has come; models are to keep what the first one's keeps."""
        self._group.spread(list(self._job.replica.model.buffers()))
        self._account.tell(self._time, updates, values)
