"""Sides take turns in each round, so that whatever slows the machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Sequence


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def in_turns(sides: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """Time every side once in each round, in an order that turns; the first round is let go."""
    found: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        for k in range(len(sides)):
            place = (turn + k) % len(sides)
            found[place].append(sides[place]())
    return [times[1:] for times in found]


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Return how many times as long theirs took as ours, round by round."""
    return [b / a for a, b in zip(ours, theirs, strict=True)]


def spread(found: Sequence[float]) -> str:
    """Return the median of ratios, and the worst and the best of them, as cells of a table."""
    return f"**{statistics.median(found):.2f}** | {min(found):.2f} – {max(found):.2f}"


def verdict(found: Sequence[float], wanted: float) -> str:
    return "yes" if statistics.median(found) >= wanted else "NO"
