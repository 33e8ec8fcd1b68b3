"""A schedule is a pure function of the number of updates made, written in the algebra of the rules.

The first update uses `schedule(0)`. Where a schedule has a horizon of N updates, the last of them
uses `schedule(N - 1)`, and every later one uses that value too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from thalweg.algebra import Expr, constant, constants, expression, floor, maximum, where
from thalweg.algebra.expr import node, substitute
from thalweg.algebra.simplify import simplified
from thalweg.errors import BadType, BadValue
from thalweg.schedules.evaluation import K, Program, checked_index


@dataclass(frozen=True, eq=False)
class Schedule:
    """One number as a function of the step: an expression of K, and the horizon in updates.

    ``schedule(k)`` is its value at the zero-based index of an update, a whole number or an array
    of them. A horizon of None means that the schedule goes on for ever. One of several ``lanes``
    has a number for each of them.
    """

    value: Expr
    horizon: int | None = None
    lanes: int | None = None

    def __call__(self, index: Any) -> Any:
        """Return the value that update number *index*, counted from 0, uses.

        It is a number; for an array of indices it is one of its shape, with lanes along a last
        axis. Every element is what its index and its lane give alone, to the last bit.
        """
        index = checked_index(index)
        if isinstance(index, float) and self.lanes is None:
            return self._program.at_one(index)
        return self._values(index)

    @cached_property
    def _program(self) -> Program:
        return Program(self.value)

    def _values(self, index: Any) -> Any:
        import numpy as np

        places = np.asarray(index)
        shape = places.shape if self.lanes is None else (*places.shape, self.lanes)
        places = places if self.lanes is None else places[..., None]
        return np.broadcast_to(self._program.at_many(places), shape).astype(float)

    def __repr__(self) -> str:
        return f"<schedule {expression(simplified((self.value,))[0])}>"

    def after(self, warmup: "Schedule") -> "Schedule":
        """Return this schedule with the updates of *warmup* in front, as shares of its first value.

        ``cosine(3e-4, steps=10_000).after(warmup(500))`` has a horizon of 10,500 updates.
        """
        if not isinstance(warmup, Schedule) or warmup.horizon is None:
            raise BadType(
                f"after() takes a schedule with a horizon, such as warmup(500), not {warmup!r}."
            )
        if self.horizon is not None and self.horizon < warmup.horizon:
            raise BadValue(
                f"a horizon of {self.horizon} updates is shorter than the warm-up of "
                f"{warmup.horizon} in front of it. Shorten the warm-up, or join() the two."
            )
        first = self(0)
        share = constant(first) if self.lanes is None else constants(first)
        return join(Schedule(warmup.value * share, warmup.horizon, self.lanes), self)

    def whole(self) -> "Schedule":
        """Return this schedule rounded down to whole numbers of at least 1, such as batch sizes."""
        return Schedule(maximum(floor(self.value), 1), self.horizon, self.lanes)

    def __mul__(self, other: "Schedule | float") -> "Schedule":
        """Return the product with another schedule or a number; it ends with the later horizon."""
        if isinstance(other, Schedule):
            horizon = latest((self.horizon, other.horizon))
            return Schedule(self.value * other.value, horizon, _common_lanes(self, other))
        return Schedule(self.value * float(other), self.horizon, self.lanes)

    __rmul__ = __mul__


def latest(horizons: Iterable[int | None]) -> int | None:
    """Return the last of some horizons, None where one of them never comes."""
    ends = set(horizons)
    return None if None in ends else max(filter(None, ends))


def _common_lanes(first: Schedule, second: Schedule) -> int | None:
    found = {first.lanes, second.lanes} - {None}
    if len(found) > 1:
        raise BadValue(f"a schedule of {first.lanes} lanes does not go with one of {second.lanes}.")
    return next(iter(found), None)


def join(first: Schedule, *others: Schedule) -> Schedule:
    """Return the schedules one after the other, each from its own beginning."""
    joined = first
    for other in others:
        if joined.horizon is None:
            raise BadValue("a schedule without a horizon can only come last.")
        begins = joined.horizon
        (later,) = substitute((other.value,), {K: K - begins})
        horizon = None if other.horizon is None else begins + other.horizon
        value = where(begins > K, joined.value, later)
        joined = Schedule(value, horizon, _common_lanes(joined, other))
    return joined


def lanes(schedules: Iterable[Schedule]) -> Schedule:
    """Return schedules of one form side by side, as one whose value is a number for each.

    ``lanes(cosine(lr, steps=1000).after(warmup(50)) for lr in rates)`` works out all rates at once.
    The schedules may differ in their numbers, not in how they are made.
    """
    given = tuple(schedules)
    if not given or not all(isinstance(each, Schedule) and each.lanes is None for each in given):
        raise BadType(f"lanes() takes schedules of one number each, not {given!r}.")
    value = _abreast(tuple(each.value for each in given), {})
    return Schedule(value, latest(each.horizon for each in given), len(given))


def _abreast(nodes: tuple[Expr, ...], known: dict[tuple[Expr, ...], Expr]) -> Expr:
    """Return one expression for several that differ in constants only."""
    first = nodes[0]
    if all(each is first for each in nodes):
        return first
    if nodes not in known:
        if len({(each.op, len(each.args)) for each in nodes}) > 1 or first.op == "symbol":
            raise BadValue(
                "lanes() takes schedules of one form, whose numbers alone may differ; "
                f"here {nodes[0]!r} stands beside {next(n for n in nodes if n is not first)!r}."
            )
        args = zip(*(each.args for each in nodes), strict=True)
        known[nodes] = (
            node(first.op, *(_abreast(each, known) for each in args))
            if first.args
            else constants(each.payload for each in nodes)
        )
    return known[nodes]
