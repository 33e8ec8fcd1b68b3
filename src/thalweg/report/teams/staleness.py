"""How late gradients were, as bars: in a line of a terminal, and for a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from thalweg.report.sparkline import HEIGHTS

Bars = list[tuple[str, int]]
"""What each bar is of, such as ``3`` or ``10–19`` updates late, and how many pushes it counts."""


def width_of(found: Iterable[Counter[int]], most: int) -> int:
    """Return of how many updates each bar is, so that no more than *most* are needed."""
    latest = max((max(each, default=0) for each in found), default=0)
    return -(-(latest + 1) // most)


def bars(staleness: Counter[int], width: int) -> Bars:
    """Return the bars from no update late to the most that were seen."""
    counts = Counter[int]()
    for late, count in staleness.items():
        counts[late // width] += count
    return [(_name(place, width), counts[place]) for place in range(max(counts, default=-1) + 1)]


def _name(place: int, width: int) -> str:
    first = place * width
    return str(first) if width == 1 else f"{first}–{first + width - 1}"


def drawn(staleness: Counter[int], most: int = 30) -> str:
    """Return the bars as characters, from no update late to the most that were seen."""
    if not staleness:
        return ""
    counts = [count for _, count in bars(staleness, width_of([staleness], most))]
    steps = len(HEIGHTS) - 1
    return "".join(HEIGHTS[-(-count * steps // max(counts))] if count else " " for count in counts)


def middle(staleness: Counter[int]) -> int:
    """Return how late half of the pushes were at most, 0 where there are none."""
    passed = 0
    for late, count in sorted(staleness.items()):
        passed += count
        if 2 * passed >= staleness.total():
            return late
    return 0
