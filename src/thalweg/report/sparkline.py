"""A curve in one line of a terminal: eight heights, a gap where there is nothing, × for no number.

Curves that are to be compared are drawn to one scale of heights and steps.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low

HEIGHTS = "▁▂▃▄▅▆▇█"
NO_NUMBER = "×"
GAP = " "

Curve = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Scale:
    """The steps and values that a line of characters spans, the values in logarithm if so said."""

    first: int
    last: int
    low: float
    high: float
    logarithmic: bool

    def column(self, step: int, width: int) -> int:
        """Return the character of ``width`` that a step falls in."""
        return (step - self.first) * width // (self.last - self.first + 1)

    def height(self, value: float) -> str:
        """Return the character as high as a value; × for NaN and infinities."""
        if not math.isfinite(value):
            return NO_NUMBER
        low, high, here = map(self._placed, (self.low, self.high, value))
        share = (here - low) / (high - low) if high > low else 0.0
        return HEIGHTS[min(int(share * len(HEIGHTS)), len(HEIGHTS) - 1)]

    def _placed(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value / 2


def scale(curves: Iterable[Curve]) -> Scale:
    """Return the scale of curves; logarithmic where positive values span a decade.

    It ends at ten times the highest value of the middle curve, so that one that diverges does not
    flatten the others.
    """
    curves = list(curves)
    steps = [step for curve in curves for step, _ in curve]
    finite = [[value for _, value in curve if math.isfinite(value)] for curve in curves]
    finite = [values for values in finite if values] or [[0.0]]
    low, high = min(map(min, finite)), max(map(max, finite))
    middle = median_low(map(max, finite))
    high = min(high, 10 * middle) if middle > 0 else high
    return Scale(min(steps), max(steps), low, high, 0 < low <= high / 10)


def sparkline(curve: Curve, on: Scale, width: int) -> str:
    """Draw a curve in at most ``width`` characters; each shows the mean of what falls in it."""
    width = min(width, on.last - on.first + 1)
    columns: list[list[float]] = [[] for _ in range(width)]
    for step, value in curve:
        columns[on.column(step, width)].append(value)
    return "".join(_character(values, on) for values in columns).rstrip(GAP)


def _character(values: list[float], on: Scale) -> str:
    if not values:
        return GAP
    return on.height(sum(value / len(values) for value in values))
