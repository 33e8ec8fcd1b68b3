"""A curve is a number against the step at which it was seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Curve:
    """Values against steps, in the order of steps; values may be NaN or infinite."""

    steps: np.ndarray
    values: np.ndarray

    @staticmethod
    def of(values: Iterable[float], steps: Iterable[int] | None = None) -> Curve:
        """Return the curve of values at *steps*, by default 1, 2, 3, …"""
        heights = np.asarray(list(values), dtype=np.float64)
        places = range(1, len(heights) + 1) if steps is None else list(steps)
        return Curve(np.asarray(places, dtype=np.int64), heights)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def finite(self) -> Curve:
        """The curve without its NaN and infinite values."""
        return self[np.isfinite(self.values)]

    def __getitem__(self, index: slice | np.ndarray) -> Curve:
        return Curve(self.steps[index], self.values[index])

    def tail(self, share: float) -> Curve:
        """Return the last *share* of it, at least one point."""
        return self[max(0, len(self) - max(1, round(share * len(self)))) :]

    def medians(self, parts: int) -> Sequence[float]:
        """Return the medians of *parts* stretches of equal length; fewer where it is too short."""
        stretches = np.array_split(self.values, min(parts, len(self))) if len(self) else []
        return [float(np.median(each)) for each in stretches]

    def means(self, parts: int) -> Sequence[float]:
        """Return the means of *parts* stretches of equal length; fewer where it is too short."""
        stretches = np.array_split(self.values, min(parts, len(self))) if len(self) else []
        return [float(np.mean(each)) for each in stretches]
