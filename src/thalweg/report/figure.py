"""What the figures on all pages share: plotly.js's plain form, colours, and fitted axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

Figure = dict[str, Any]

LIGHT = ("#0072b2", "#d55e00", "#009e73", "#c2569a", "#e69f00", "#4aa3df", "#5b5b5b")
"""The colours of curves on a white page, told apart by the colour-blind too (Okabe & Ito 2008)."""

DARK = ("#4d9de0", "#f08a3c", "#2fc59a", "#e48cc4", "#f2c14e", "#a5dcff", "#b4b9bf")
"""The same on a dark page."""


def colour(number: int) -> str:
    """Return a colour by its name on the page, which knows its value in either scheme."""
    return f"var(--colour-{number % len(LIGHT)})"


def finite(values: Iterable[float]) -> list[float | None]:
    """Return the values with None, which plotly leaves a gap at, for what is not finite."""
    return [value if math.isfinite(value) else None for value in values]


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Return at most so many points, each the mean of those it stands for, at their last place."""
    length = -(-len(points) // most) or 1
    parts = [points[begin : begin + length] for begin in range(0, len(points), length)]
    return [(part[-1][0], math.fsum(y for _, y in part) / len(part)) for part in parts]


def ceiling(begun: Iterable[float]) -> float:
    """Return the highest loss worth seeing: ten times the lowest at which trainings began."""
    return 10 * min(filter(math.isfinite, begun), default=math.inf)


def log_ticks(values: Sequence[float], digits: Sequence[float] = (1, 2, 5)) -> Figure:
    """Return ticks at these digits of each decade, with a decade to spare for zooming out."""
    first, last = (math.floor(math.log10(end)) for end in (min(values), max(values)))
    places = [digit * 10.0**power for power in range(first - 1, last + 3) for digit in digits]
    return {"tickmode": "array", "tickvals": places, "ticktext": [f"{at:g}" for at in places]}


def fitted(values: Sequence[float]) -> Figure:
    """Return an axis that shows these values: logarithmic where they are positive and far apart.

    The axis is plotly's own where there are no values.
    """
    if not values:
        return {}
    low, high = min(values), max(values)
    if low > 0 and high > 3 * low:
        return log_axis(low, high)
    spare = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return {"range": [low - spare, high + spare]}


def log_axis(low: float, high: float) -> Figure:
    """Return a logarithmic axis from below *low* to above *high*, with as many ticks as fit."""
    spare = 0.04 * math.log10(high / low) + 0.01
    digits = (1, 1.5, 2, 3, 5, 7) if high < 8 * low else (1, 2, 5) if high < 1000 * low else (1,)
    view = {"type": "log", "range": [math.log10(low) - spare, math.log10(high) + spare]}
    return view | log_ticks((low, high), digits)
