"""What the figures on all pages share: plotly.js's plain form, colours, and logarithmic ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#c2569a", "#e69f00", "#4aa3df", "#5b5b5b")


def log_ticks(values: Sequence[float], digits: Sequence[int] = (1, 2, 5)) -> Figure:
    """Return ticks at these digits of each decade, with a decade to spare for zooming out."""
    first, last = (math.floor(math.log10(end)) for end in (min(values), max(values)))
    places = [digit * 10.0**power for power in range(first - 1, last + 3) for digit in digits]
    return {"tickmode": "array", "tickvals": places, "ticktext": [f"{at:g}" for at in places]}
