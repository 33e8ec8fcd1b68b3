"""When epochs end: their number is spent, or the loss no longer falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stopping:
    """When to stop: after *epochs*, or once *patience* of them did not lower the loss by *tol*."""

    epochs: int
    tol: float | None
    patience: int

    def over(self, losses: Sequence[float]) -> bool:
        """Whether these losses of epochs are the last."""
        return len(losses) >= self.epochs or self.converged(losses)

    def converged(self, losses: Sequence[float]) -> bool:
        """Whether the loss stopped falling."""
        if self.tol is None or len(losses) <= self.patience:
            return False
        best, without = np.inf, 0
        for loss in losses:
            without = without + 1 if loss > best - self.tol else 0
            best = min(best, loss)
        return without >= self.patience
