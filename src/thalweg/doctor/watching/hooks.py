"""Hooks that a training never feels: they raise nothing, and copies of what they hang on lack them.

A module is copied and pickled with its hooks; in the place of one of these stands `nothing`.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final

from thalweg.doctor.watching.hearing import level


class Hook(ABC):
    """Called as any hook is; a copy of it, or what is read back from a file, does nothing.

    It hears what goes on at the level that it was made at, see `hearing`.
    """

    __slots__ = ("_level",)

    def __init__(self) -> None:
        self._level = level()

    @abstractmethod
    def __call__(self, *args: Any) -> None:
        """Look at what happens, and never raise."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return nothing

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
        return no_hook, ()


@final
class WeakHook(Hook):
    """Calls a method of a watcher that it does not keep alive."""

    __slots__ = ("_function", "_watcher")

    def __init__(self, method: Any) -> None:
        super().__init__()
        self._watcher, self._function = weakref.ref(method.__self__), method.__func__

    def __call__(self, *args: Any) -> None:
        """Call the method; what goes wrong in it is told to its watcher."""
        alive = self._watcher()
        if alive is not None and self._level == level():
            try:
                self._function(alive, *args)
            except Exception as error:
                alive.fail("watching", error)


def nothing(*_: Any) -> None:
    """Do nothing, as the hooks of a copy do."""


def no_hook() -> Callable[..., None]:
    """Return `nothing`; a file has this call in the place of a hook."""
    return nothing
