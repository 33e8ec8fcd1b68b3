"""No watch hears the work of another: each hears only what goes on at the level it was made at.

A training is at level 0. What the doctor does itself, be it a measurement or a whole run, is one
level deeper than what it stands in; a watch that is made there hears that run alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_level: ContextVar[int] = ContextVar("level", default=0)

level = _level.get
"""Return how deep in the doctor's own work this thread is."""


@contextmanager
def our_own() -> Iterator[None]:
    """Let no watch that is there already hear what goes on inside, in this thread."""
    token = _level.set(level() + 1)
    try:
        yield
    finally:
        _level.reset(token)
