"""What a virtual worker is waiting for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Call:
    """Something that has so many *parts* to come, and may have something that follows it."""

    def __init__(self, parts: int = 1) -> None:
        self.replies: list[Any] = [None] * parts
        self.left = parts
        self._then: Callable[[], None] | None = None

    @property
    def done(self) -> bool:
        """Whether all parts have come."""
        return not self.left

    def reply(self, answer: Any, part: int = 0) -> None:
        """Take a part; what follows happens after the last."""
        self.replies[part] = answer
        self.left -= 1
        if self.done and self._then is not None:
            self._then()

    def then(self, action: Callable[[], None]) -> None:
        """Let an action follow, now if all has come."""
        if self.done:
            action()
        else:
            self._then = action
