"""The labels of the first batches in their order, then of ever fewer, to the end of the run."""

from __future__ import annotations

from thalweg.doctor.evidence import LabelBatch

BATCHES, EXAMPLES = 64, 1024
"""The labels of at least so many first batches, and of so many examples, are kept."""

MOST = 2048
"""So many batches are kept; when there are more, every second is let go, but not the first."""


class Labels:
    """Says which batches to look at, and keeps their labels: next that after ``due`` updates.

    After the first batches it is half of the next as many, a quarter of the next twice as many,
    and so on, so that a long run is seen to its end at little cost.
    """

    def __init__(self) -> None:
        self.batches: list[LabelBatch] = []
        self.due = 0
        self._tried = self._examples = 0

    def forget(self, step: int) -> None:
        """The batch of update number *step* is not trained by after all."""
        if self.batches and self.batches[-1].step == step:
            self.batches.pop()

    def add(self, batch: LabelBatch | None, updates: int) -> None:
        """Take in what was found in the batch after so many updates; None if that was nothing."""
        self._tried += 1
        if batch is not None:
            self.batches.append(batch)
            self._examples += len(batch.classes) or len(batch.values)
            if len(self.batches) > MOST:
                self.batches[1:-1] = self.batches[1:-1:2]
        self.due = self._next(updates + 1)

    def _next(self, updates: int) -> int:
        """Return after how many updates, at least so many, there is a batch to look at."""
        if self._tried < BATCHES or 0 < self._examples < EXAMPLES:
            return updates
        apart = 1 << (updates // BATCHES).bit_length()
        return -(-updates // apart) * apart
