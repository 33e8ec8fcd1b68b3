"""Numbers as they are written in every table and on every page."""

from __future__ import annotations

import math
from collections.abc import Callable

NONE = "–"
"""What stands where there is no number."""


def rate(lr: float) -> str:
    """Write a learning rate with three significant digits."""
    return f"{lr:.3g}"


def loss(value: float | None) -> str:
    """Write a loss with four significant digits, ``diverged``, or that there is none."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return "diverged"
    return f"{value:.4f}" if 0.001 <= value < 1000 else f"{value:.3g}"


def significant(value: float) -> str:
    """Write a number with three significant digits, such as 0.118, 1200 or 1.1e-05, or infinity."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    rounded = float(f"{value:.3g}")
    return f"{rounded:.7g}" if abs(rounded) < 1e6 else f"{rounded:g}"


def estimate(found: tuple[float, float, float], write: Callable[[float], str] = significant) -> str:
    """Write a value with the ends of its interval, unless all agree: 0.118 (0.105–0.123)."""
    value, low, high = map(write, found)
    return value if low == high else f"{value} ({low}–{high})"


def share(value: float | None) -> str:
    """Write a share between 0 and 1 as a percentage with one decimal, or that there is none."""
    return NONE if value is None or math.isnan(value) else f"{value:.1%}"


def seconds(value: float) -> str:
    """Write a duration in seconds, with one decimal below a hundred."""
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def count(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural where it is not one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
