"""A schedule is a pure function of the number of updates made, written in the algebra of the rules.

The first update uses `schedule(0)`. Where a schedule has a horizon of N updates, the last of them
uses `schedule(N - 1)`, and every later one uses that value too.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thalweg.algebra import Expr, constant, evaluate, expression, minimum, symbol, where
from thalweg.algebra.expr import substitute
from thalweg.algebra.operations import library_of
from thalweg.errors import BadType, BadValue

K = symbol("clock", "k")
"""The number of updates made before the one that asks."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """One number as a function of the step: an expression of K, and the horizon in updates.

    ``schedule(k)`` is its value at the zero-based index of an update, a whole number or an array
    of them. A horizon of None means that the schedule goes on for ever.
    """

    value: Expr
    horizon: int | None = None

    def __call__(self, index: Any) -> Any:
        """Return the value that update number *index*, counted from 0, uses."""
        if library_of(index) is None:
            _check_index(index)
            index = float(index)
        (values,) = evaluate((self.value,), [{K: index}])[0]
        return values

    def __repr__(self) -> str:
        return f"<schedule {expression(self.value)}>"

    def after(self, warmup: "Schedule") -> "Schedule":
        """Return this schedule with the updates of *warmup* in front, as shares of its first value.

        ``cosine(3e-4, steps=10_000).after(warmup(500))`` has a horizon of 10,500 updates.
        """
        if not isinstance(warmup, Schedule) or warmup.horizon is None:
            raise BadType(
                f"after() takes a schedule with a horizon, such as warmup(500), not {warmup!r}."
            )
        first = constant(self(0))
        return join(Schedule(warmup.value * first, warmup.horizon), self)

    def __mul__(self, other: "Schedule | float") -> "Schedule":
        """Return the product with another schedule or a number; it ends with the later horizon."""
        if isinstance(other, Schedule):
            ends = (self.horizon, other.horizon)
            horizon = None if None in ends else max(filter(None, ends))
            return Schedule(self.value * other.value, horizon)
        return Schedule(self.value * float(other), self.horizon)

    __rmul__ = __mul__


def _check_index(index: Any) -> None:
    if isinstance(index, bool) or not hasattr(index, "__float__"):
        raise BadType(f"a schedule takes the index of an update, not {type(index).__name__}.")
    if index < 0 or float(index) != int(index):
        raise BadValue(
            f"a schedule takes the index of an update, 0 for the first; it was given {index!r}."
        )


def join(first: Schedule, *others: Schedule) -> Schedule:
    """Return the schedules one after the other, each from its own beginning."""
    joined = first
    for other in others:
        if joined.horizon is None:
            raise BadValue("a schedule without a horizon can only come last.")
        begins = joined.horizon
        (later,) = substitute((other.value,), {K: K - begins})
        horizon = None if other.horizon is None else begins + other.horizon
        joined = Schedule(where(begins > K, joined.value, later), horizon)
    return joined


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of schedule: called with its settings, it makes one.

    ``compute`` is its text, a function of the index k and of the settings. A setting called steps
    is the horizon, beyond which k stands still.
    """

    name: str
    compute: Callable[..., Any]
    summary: str
    source: str = ""

    def __call__(self, *args: Any, **settings: Any) -> Schedule:
        """Return the schedule of these settings; BadType or BadValue where one cannot be used."""
        given = self._bound(args, settings)
        horizon = given.get("steps")
        if horizon is None:
            return Schedule(_as_expr(self.compute(K, **given)))
        last = minimum(K, horizon - 1)
        return Schedule(_as_expr(self.compute(last, **given)), horizon)

    def _bound(self, args: tuple, settings: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = inspect.signature(self.compute).bind(K, *args, **settings)
        except TypeError as error:
            raise BadType(f"{self.name}: {error}. It is called as {self.signature}.") from None
        bound.apply_defaults()
        found = dict(list(bound.arguments.items())[1:])
        return {name: _checked(self.name, name, value) for name, value in found.items()}

    @property
    def signature(self) -> str:
        """How it is called."""
        parameters = list(inspect.signature(self.compute).parameters.values())[1:]
        return f"{self.name}{inspect.Signature(parameters)}"


COUNTS = ("steps", "first", "every", "cycles", "warmup", "half", "stable")
"""Settings that are counted, from 1 up; all others are finite numbers."""


def _checked(owner: str, name: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_checked(owner, name, each) for each in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadType(f"{owner}: {name}={value!r}; expected a finite number.")
    if name in COUNTS and (value < 1 or value != int(value)):
        raise BadValue(f"{owner}: {name}={value!r}; expected a whole number of at least 1.")
    return int(value) if name in COUNTS else float(value)


def _as_expr(value: Any) -> Expr:
    return value if isinstance(value, Expr) else constant(value)


def schedule(source: str = "") -> Callable[[Callable[..., Any]], Kind]:
    """Make a pure function of k and some settings a kind of schedule; *source* is its paper."""

    def decorate(function: Callable[..., Any]) -> Kind:
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        return Kind(function.__name__, function, summary, source)

    return decorate
