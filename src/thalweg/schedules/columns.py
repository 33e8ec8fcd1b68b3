"""A table of the numbers that lanes use at an update, where some of them follow schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thalweg.errors import BadValue
from thalweg.schedules.schedule import Schedule, lanes

if TYPE_CHECKING:
    import numpy as np

AHEAD = 64
"""How many updates are worked out at once: one at a time would cost more than a small step."""


class Columns:
    """A row of numbers for each of some lanes, a column for each name.

    *rows* has the values of every lane by name, each a number or a Schedule of one number.
    ``scheduled`` says whether any of them changes from update to update. Every number is what its
    schedule alone gives, to the last bit.
    """

    def __init__(self, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        import numpy as np

        self._table = np.zeros((len(rows), len(names)))
        self._moving: list[tuple[int, list[int], list[Schedule]]] = []
        for column, name in enumerate(names):
            values = [row[name] for row in rows]
            moving = [k for k, value in enumerate(values) if isinstance(value, Schedule)]
            for k, value in enumerate(values):
                self._table[k, column] = 0.0 if k in moving else float(value)
            if moving:
                self._moving.append((column, moving, [values[k] for k in moving]))
        self._begin = -AHEAD
        self._ahead: list[np.ndarray] = []

    @property
    def scheduled(self) -> bool:
        """Whether some number follows a schedule."""
        return bool(self._moving)

    def at(self, index: int) -> np.ndarray:
        """Return the table (lanes, names) of the update with this index, 0 for the first.

        It is the same array at every call, filled anew.
        """
        if self._moving and not 0 <= index - self._begin < AHEAD:
            self._begin = index
            self._ahead = [_values(schedules, index) for *_, schedules in self._moving]
        for (column, lanes_, _), values in zip(self._moving, self._ahead, strict=True):
            self._table[lanes_, column] = values[index - self._begin]
        return self._table


def _values(schedules: list[Schedule], index: int) -> np.ndarray:
    """Return the values (updates, schedules) of the updates from *index* on."""
    import numpy as np

    indices = np.arange(index, index + AHEAD, dtype=float)
    try:
        return lanes(schedules)(indices)
    except BadValue:
        return np.stack([each(indices) for each in schedules], axis=1)
