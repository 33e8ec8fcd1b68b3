"""The labels of the first batches in their order, then of ever fewer, to the end of the run."""

from __future__ import annotations

from thalweg.doctor.evidence import LabelBatch

BATCHES, EXAMPLES = 64, 1024
"""The labels of at least so many first batches, and of so many examples, are kept."""

MOST = 2048
"""So many batches are kept; when there are more, every second is let go, but not the first."""


class Labels:
    """Says which batches to look at, and keeps their labels.

    After the first batches it is half of the next as many, a quarter of the next twice as many,
    and so on, so that a long run is seen to its end at little cost.
    """

    def __init__(self) -> None:
        self.batches: list[LabelBatch] = []
        self._tried = self._examples = 0

    def due(self, updates: int) -> bool:
        """Whether to look at the batch after so many updates."""
        if self._tried < BATCHES or 0 < self._examples < EXAMPLES:
            return True
        return not updates % (1 << (updates // BATCHES).bit_length())

    def forget(self, step: int) -> None:
        """The batch of update number *step* is not trained by after all."""
        if self.batches and self.batches[-1].step == step:
            self.batches.pop()

    def add(self, batch: LabelBatch | None) -> None:
        """Take in what was found in a batch; None where that was nothing."""
        self._tried += 1
        if batch is None:
            return
        self.batches.append(batch)
        self._examples += len(batch.classes) or len(batch.values)
        if len(self.batches) > MOST:
            self.batches[1:-1] = self.batches[1:-1:2]
