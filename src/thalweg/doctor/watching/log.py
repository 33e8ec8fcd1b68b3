"""The log of all steps: cheap to add to, bounded in size, and read without waiting for a device."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.doctor.evidence import Step

ROOM = 32_768
"""How many steps are kept; when there are more, every second of the older half is let go."""

AHEAD = 256
"""How many losses may be left on a device before they are fetched together."""


class Log:
    """Steps as plain tuples in the order of `Step`'s fields, losses perhaps still on a device."""

    def __init__(self) -> None:
        self._rows: list[list[Any]] = []
        self._fetched = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: list[Any]) -> None:
        """Add a step; its loss, the second field, may be a tensor of one number."""
        self._rows.append(row)
        if len(self._rows) - self._fetched >= AHEAD:
            self.fetch()
        if len(self._rows) > ROOM:
            self._thin()

    def fetch(self) -> None:
        """Turn losses into numbers."""
        for row in self._rows[self._fetched :]:
            if isinstance(row[1], Tensor):
                row[1] = row[1].item()
        self._fetched = len(self._rows)

    def _thin(self) -> None:
        middle = ROOM // 2
        self._rows[:middle] = self._rows[:middle:2]
        self._fetched = len(self._rows)

    def steps(self) -> list[Step]:
        """Return all steps that were kept."""
        self.fetch()
        return [Step(*row) for row in self._rows]
