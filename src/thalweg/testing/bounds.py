"""How far a correct engine may be from exact arithmetic: rounding errors followed through the tree.

A tolerance that is guessed either hides errors or fails by chance. Here every value carries a
bound on its own error: each operation passes on the errors of its operands, to first order and
beyond, and adds one rounding of its own. An engine that computes the rule's operations, each
rounded correctly or nearly so, stays within the bound whatever it does about vector width,
fused conversion or order of sums. The reference values are rounded too, in float64, and the bound
covers that as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.algebra import PLACE, Expr, Rank, noise, ranks, symbol
from thalweg.algebra.expr import postorder
from thalweg.algebra.operations import REDUCTIONS, apply

Array = Any

UNITS = {"float32": 2.0**-24, "float64": 2.0**-53}
_SMALLEST = {"float32": 2.0**-149, "float64": 2.0**-1074}
_ULPS = {
    "sqrt": 2,
    "exp": 4,
    "log": 4,
    "cos": 4,
    "pow": 4,
    **dict.fromkeys(REDUCTIONS, 8),
    "unit_mean": 8,
}
_EXACT = ("neg", "abs", "sign", "maximum", "minimum", "clip", "where")
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


@dataclass(frozen=True)
class Bounded:
    """A float64 value and a bound on how far the engine's value may be from it, elementwise."""

    value: Array
    error: Array


def exact(value: Array) -> Bounded:
    """Return *value* as something the engine holds without error."""
    value = np.asarray(value, np.float64)
    return Bounded(value, np.zeros_like(value))


def bounded(
    roots: tuple[Expr, ...], rows: Sequence[Mapping[Expr, Bounded]], dtype: str
) -> list[tuple[Bounded, ...]]:
    """Return the value of each root in each row, with its bound for an engine of *dtype*.

    The rows are the parameters of one launch; their entries are bounded values by symbol.
    """
    rank = ranks(roots)
    known: list[dict[Expr, Bounded]] = [dict(row) for row in rows]
    with np.errstate(all="ignore"):
        for current in postorder(roots):
            kind = dtype if rank[current] == Rank.ELEMENT else "float64"
            values = [_value(current, row, rank, kind) for row in known]
            if current.op == "sum_launch":
                values = [_sum_of(values)] * len(values)
            for row, value in zip(known, values, strict=True):
                row[current] = value
    return [tuple(row[root] for root in roots) for row in known]


def _sum_of(values: list[Bounded]) -> Bounded:
    return Bounded(sum(each.value for each in values), sum(each.error for each in values))


def _value(current: Expr, row: dict[Expr, Bounded], rank: dict[Expr, Rank], kind: str) -> Bounded:
    if current.op == "symbol":
        return row[current]
    if current.op == "constant":
        return exact(current.payload)
    args = [row[arg] for arg in current.args]
    if current.op == "normal":
        model = row[symbol("input", "g")].value
        seed, t = (float(each.value) for each in args)
        place = int(row[PLACE].value) if PLACE in row else 0
        drawn = noise.draw((seed, t, place), model, np)
        return Bounded(drawn, UNITS[kind] * np.abs(drawn) * 2)
    if rank[current] == Rank.ELEMENT:
        args = [
            each if rank[arg] == Rank.ELEMENT else _rounded(each, UNITS[kind])
            for each, arg in zip(args, current.args, strict=True)
        ]
    value = np.asarray(apply(current.op, *(each.value for each in args)))
    if value.dtype == bool:
        return Bounded(value, _unsure(args))
    passed = _passed(current.op, args, value)
    if current.op in _EXACT:
        return Bounded(value, passed)
    unit = UNITS["float32"] if current.op == "single" else UNITS[kind]
    both = _ULPS.get(current.op, 1) * unit + UNITS["float64"]
    own = both * (np.abs(value) + passed) + _SMALLEST[kind]
    return Bounded(value, np.where((value == 0) & (passed == 0), 0.0, passed + own))


def _rounded(each: Bounded, unit: float) -> Bounded:
    if each.value.dtype == bool:
        return each
    if not np.any(each.error):
        kept = each.value.astype(np.float32) if unit == UNITS["float32"] else each.value
        return Bounded(each.value, np.where(np.isfinite(each.value), np.abs(kept - each.value), 0))
    return Bounded(each.value, each.error + unit * (np.abs(each.value) + each.error))


def _unsure(args: list[Bounded]) -> Array:
    """Return where a comparison may come out either way."""
    a, b = args
    return np.abs(a.value - b.value) <= a.error + b.error if _any_error(args) else np.False_


def _any_error(args: list[Bounded]) -> bool:
    return any(np.any(each.error > 0) for each in args)


def _passed(op: str, args: list[Bounded], value: Array) -> Array:
    """Return how far errors in the operands can move the result."""
    x, e = [each.value for each in args], [each.error for each in args]
    if op in ("add", "sub"):
        return e[0] + e[1]
    if op == "mul":
        return np.abs(x[0]) * e[1] + np.abs(x[1]) * e[0] + e[0] * e[1]
    if op == "div":
        smallest = np.abs(x[1]) - e[1]
        moved = (e[0] + np.abs(value) * e[1]) / np.where(smallest > 0, smallest, 1)
        return np.where(smallest > 0, moved, np.where(e[0] + e[1] > 0, np.inf, 0))
    if op == "sqrt":
        return np.where(e[0] > 0, np.minimum(np.sqrt(e[0]), _quotient(e[0], value)), 0)
    if op in ("maximum", "minimum", "clip"):
        high, low = (apply(op, *(each.value + s * each.error for each in args)) for s in (1, -1))
        return np.maximum(high - value, value - low)
    if op == "where":
        chosen = np.where(x[0], e[1], e[2])
        return np.where(e[0], np.abs(x[1] - x[2]) + e[1] + e[2], chosen)
    if op == "sign":
        return np.where((np.abs(x[0]) <= e[0]) & (e[0] > 0), 2.0, 0.0)
    if op in ("neg", "abs", "single"):
        return e[0]
    if op in REDUCTIONS:
        moved = np.sum(e[0]) + UNITS["float64"] * np.sum(np.abs(x[0]))
        return moved / max(1, x[0].size) if op == "mean_tensor" else moved
    if op == "unit_mean":
        return np.asarray(apply(op, e[0]))
    return _by_neighbours(op, args, value)


def _quotient(a: Array, b: Array) -> Array:
    return np.where(b > 0, a / np.where(b > 0, b, 1), np.inf)


def _by_neighbours(op: str, args: list[Bounded], value: Array) -> Array:
    """Bound the error of a monotonic function by its values at the ends of the intervals."""
    if not _any_error(args):
        return np.zeros_like(value)
    ends: list[tuple] = [()]
    for each in args:
        ends = [(*end, each.value + s * each.error) for end in ends for s in (-1, 1)]
    return np.maximum.reduce([np.abs(apply(op, *end) - value) for end in ends])
