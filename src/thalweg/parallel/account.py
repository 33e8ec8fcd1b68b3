"""Adds up what workers have measured, and tells a job's watcher how far it has come."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from thalweg.parallel.engine import Job, Progress


class Account:
    """The gradients of a job: dealt to workers, and measured by them."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.dealt = self.measured = 0
        self._examples = self._told = self._batch_examples = 0
        self._loss = 0.0

    @property
    def undealt(self) -> int:
        """How many gradients no worker has been given."""
        return self._job.gradients - self.dealt

    def deal(self) -> int | None:
        """Return the number of the next batch, None where none is left."""
        if not self.undealt:
            return None
        self.dealt += 1
        return self.dealt - 1

    def note(self, loss: float, examples: int, gradients: int = 1) -> bool:
        """Count gradients; return whether it is time to tell, unless they are the last ones."""
        told = self.measured // self._job.every
        self.measured += gradients
        self._examples += examples
        self._batch_examples += examples
        self._loss += loss * examples
        due = self.measured // self._job.every > told
        return due and self.measured < self._job.gradients

    def tell(self, time: float, updates: int, values: Callable[[], Tensor | None]) -> None:
        """Tell how far it has come, unless nothing happened since."""
        if self.measured == self._told:
            return
        self._told = self.measured
        loss = self._loss / self._batch_examples
        self._loss, self._batch_examples = 0.0, 0
        self._job.watch(Progress(self.measured, self._examples, updates, time, loss, values))
