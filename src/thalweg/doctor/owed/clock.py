"""Seconds at the end of a run are few: what would take too long is refused with its estimate."""

from __future__ import annotations

from time import perf_counter
from typing import final


class Refused(Exception):
    """A measurement that is not made, and why."""


@final
class Clock:
    """Counts the seconds that may be spent; ``pass_seconds`` is what one gradient costs."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.pass_seconds = 0.0
        self._begun = perf_counter()

    @property
    def spent(self) -> float:
        """How many seconds have gone by."""
        return perf_counter() - self._begun

    @property
    def left(self) -> float:
        """How many seconds there are still."""
        return self.seconds - self.spent

    @property
    def over(self) -> bool:
        """Whether a measurement that has begun should end: a quarter more time has gone by."""
        return self.spent > 1.25 * self.seconds

    def afford(self, passes: float) -> None:
        """Raise Refused unless there is time for so many gradients."""
        self.afford_seconds(passes * self.pass_seconds)

    def afford_seconds(self, needed: float) -> None:
        """Raise Refused unless there are so many seconds."""
        if needed > self.left:
            raise Refused(
                f"it would need about {needed:.2g} s, and {max(self.left, 0):.2g} s are left of "
                f"at_exit={self.seconds:g}; at_exit={self.spent + needed:.2g} is enough"
            )
