"""A plain function is seen to be called by Python's profile hook, for as long as it is awaited."""

from __future__ import annotations

import functools
import math
import sys
import weakref
from collections.abc import Callable
from itertools import takewhile
from types import CodeType, FrameType
from typing import Any

from torch import Tensor, nn

from thalweg.doctor.watching.hearing import level

EVENTS = 5000
"""So many calls and returns of any function are looked at in vain in a short wait."""

PATIENCE = 8
"""So many short waits in a row may be in vain; then there are no more until a call is heard."""


class Awaited:
    """Tells *heard* of the arguments and the result of each call of *function*, while it waits.

    Nothing is heard of functions that are not written in Python, nor while a profiler runs.
    """

    def __init__(self, function: Callable[..., Any], heard: Callable[[tuple, Any], None]) -> None:
        self._code, self._heard = code_of(function), heard
        self._bound = _bound_by(function)
        self._hook: Any = None
        self._level = level()
        self._frame: FrameType | None = None
        self._values: tuple[Any, ...] = ()
        self._left = math.inf
        self._in_vain = 0

    def begin(self) -> None:
        """Wait until the end, unless another profiler is at work."""
        self._left = math.inf
        if self._code is not None and sys.getprofile() is None:
            self._hook = _profile(weakref.ref(self))
            sys.setprofile(self._hook)

    def begin_briefly(self) -> None:
        """Wait for one call, not for long, and not when that was in vain all the time."""
        if self._hook is None and self._in_vain < PATIENCE:
            self._in_vain += 1
            self.begin()
            self._left = EVENTS

    def end_briefly(self) -> None:
        """End a short wait, and no other."""
        if self._left < math.inf:
            self.end()

    def found(self) -> None:
        """What was heard is what was waited for."""
        self._in_vain = 0
        self.end_briefly()

    def end(self) -> None:
        """Wait no longer."""
        if self._hook is not None and sys.getprofile() is self._hook:
            sys.setprofile(None)
        self._hook = self._frame = None
        self._values = ()

    def event(self, frame: FrameType, kind: str, value: Any) -> None:
        """Take in that something is called or returns, and then with what *value*."""
        self._left -= 1
        if self._left < 0:
            self.end()
        elif self._frame is None:
            if kind == "call" and frame.f_code is self._code and self._level == level():
                self._frame, self._values = frame, _arguments(frame, *self._bound)
        elif kind == "return" and frame is self._frame:
            values, self._frame, self._values = self._values, None, ()
            if isinstance(value, Tensor):
                self._heard(values, value)


def _profile(awaited: weakref.ref[Awaited]) -> Callable[[FrameType, str, Any], None]:
    """Return a profile hook for one that waits; when that is gone, it takes itself off."""

    def profile(frame: FrameType, kind: str, value: Any) -> None:
        if (alive := awaited()) is not None:
            alive.event(frame, kind, value)
        else:
            sys.setprofile(None)

    return profile


def code_of(function: Any) -> CodeType | None:
    """Return the code that a call of *function* runs, None where it is not written in Python."""
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__code__") and not hasattr(function, "__func__"):
        function = vars(type(function)).get("__call__")
    return getattr(getattr(function, "__func__", function), "__code__", None)


def _bound_by(function: Any) -> tuple[int, set[str]]:
    """Return how many arguments in front, and which names, partial functions give beforehand."""
    front, names = 0, set[str]()
    while isinstance(function, functools.partial):
        front += len(function.args)
        names |= function.keywords.keys()
        function = function.func
    return front, names


def _arguments(frame: FrameType, front: int, bound: set[str]) -> tuple[Any, ...]:
    """Return the arguments of a call that has just begun, without ``self`` and what was bound."""
    names = _names(frame.f_code)[front:]
    return tuple(frame.f_locals.get(name) for name in names if name not in bound)


def _names(code: CodeType) -> list[str]:
    """Return the names of what a function takes, those last that are given by name alone."""
    count = code.co_argcount + code.co_kwonlyargcount
    return [name for name in code.co_varnames[:count] if name != "self"]


def by_place(function: Any) -> Any:
    """Return *function* as one that takes what `Awaited` hears of it, all by place.

    Behind the first name that was bound no argument can be given by its place.
    """
    code = None if isinstance(function, nn.Module) else code_of(function)
    if code is None:
        return function
    front, bound = _bound_by(function)
    names, only = _names(code)[front:], code.co_varnames[code.co_argcount :]
    places = len([*takewhile(lambda name: name not in bound and name not in only, names)])
    rest = [name for name in names[places:] if name not in bound]

    def called(*values: Any) -> Any:
        return function(*values[:places], **dict(zip(rest, values[places:], strict=False)))

    return called if rest else function
