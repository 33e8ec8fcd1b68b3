"""Virtual time: what is to happen, in the order in which it happens."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Clock:
    """Carries out actions at their times; of those at one time, first what was asked for first."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Carry out an action at a time, or now where that is over."""
        heapq.heappush(self._queue, (max(time, self.now), next(self._number), action))

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Carry out an action after a delay."""
        self.at(self.now + delay, action)

    def run(self) -> None:
        """Carry out everything, and what follows from it."""
        while self._queue:
            self.now, _, action = heapq.heappop(self._queue)
            action()
