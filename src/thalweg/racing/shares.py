"""Seconds of what is done together, parted among those for whom it is done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager


class Shares:
    """Adds up the seconds of several kinds of work, and parts them in equal shares when asked.

    ``seconds`` has those of each of *count* members so far.
    """

    def __init__(self, count: int) -> None:
        self.seconds = [0.0] * count
        self._spent: Counter[Hashable] = Counter()

    @contextmanager
    def of(self, work: Hashable) -> Iterator[None]:
        """Count the time within as one for this *work*."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent[work] += time.perf_counter() - start  # type: ignore[assignment]

    def part(self, members: Callable[[Hashable], Iterable[int]]) -> None:
        """Give to each of the *members* of a work its share of the time spent since the last call.

        The time of a work that has none is let go.
        """
        for work, seconds in self._spent.items():
            those = list(members(work))
            for member in those:
                self.seconds[member] += seconds / len(those)
        self._spent.clear()
