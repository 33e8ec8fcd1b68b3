"""Numbers are checked where they come in, so that everything behind can rely on them."""

import math
from typing import Any

from thalweg.errors import BadType, BadValue


def check_count(name: str, value: Any, low: int = 1, high: int | None = None) -> None:
    """Raise unless *value* is a whole number with low <= value <= high, without end by default."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadType(f"{name}={value!r}; expected a whole number.")
    if value < low or (high is not None and value > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high:,}"
        raise BadValue(f"{name}={value!r}; expected a whole number {bounds}.")


def check_number(name: str, value: Any, low: float = -math.inf, below: float = math.inf) -> None:
    """Raise unless *value* is a finite number with low <= value < below."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadType(f"{name}={value!r}; expected a number.")
    if not (math.isfinite(value) and low <= value < below):
        raise BadValue(f"{name}={value!r}; expected a finite number{_range(low, below)}.")


def _range(low: float, below: float) -> str:
    if low == -math.inf:
        return ""
    return f" of at least {low:g}" if below == math.inf else f" from {low:g} to below {below:g}"
