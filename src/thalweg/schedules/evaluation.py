"""Works out a schedule at one update or many, for one lane or many, alike to the last bit.

Most operations are exactly rounded wherever they run. The few that libraries round each in their
own way are always done by Python's.
"""

from functools import partial
from typing import Any

from thalweg.algebra import Expr, symbol
from thalweg.algebra.expr import postorder
from thalweg.algebra.operations import OPERATIONS, apply, library_of
from thalweg.algebra.simplify import simplified
from thalweg.errors import BadType, BadValue

K = symbol("clock", "k")
"""The number of updates made before the one that asks."""

ROUNDED_ANYHOW = ("pow", "exp", "log", "cos")
"""Operations whose last bit differs between libraries, and between one number and many."""


class Program:
    """What there is to compute of an expression, in order; what does not need K is computed."""

    def __init__(self, value: Expr) -> None:
        order = postorder(simplified((value,)))
        self.steps = [each for each in order if each is not K]
        self.known = {each: each.payload for each in order if each.op == "constant"}

    def at_one(self, index: float) -> float:
        """Return the value at the index of an update."""
        known: dict[Expr, Any] = {K: index, **self.known}
        for current in self.steps:
            if current.args:
                known[current] = _number(current.op, *[known[arg] for arg in current.args])
        return known[self.steps[-1]] if self.steps else index

    def at_many(self, indices: Any) -> Any:
        """Return the values for an array of indices, or for each lane."""
        import numpy as np

        known = {K: indices, **self.known}
        with np.errstate(all="ignore"):
            for current in self.steps:
                if current not in known:
                    known[current] = _numbers(current, [known[arg] for arg in current.args])
        return known[self.steps[-1]] if self.steps else indices


def _number(name: str, *args: float) -> float:
    try:
        return OPERATIONS[name].number(*args)
    except (ArithmeticError, ValueError):
        return apply(name, *args)


def _numbers(current: Expr, args: list[Any]) -> Any:
    import numpy as np

    if current.op == "constants":
        return np.array(current.payload)
    if current.op in ROUNDED_ANYHOW and any(library_of(arg) for arg in args):
        alone = np.frompyfunc(partial(_number, current.op), len(args), 1)
        return alone(*args).astype(float)
    return apply(current.op, *args)


def checked_index(index: Any) -> Any:
    """Return one index as a float and many as an array of floats; refuse what is no index."""
    if isinstance(index, bool) or not hasattr(index, "__float__"):
        raise BadType(f"a schedule takes the index of an update, not {type(index).__name__}.")
    if not getattr(index, "ndim", 0):
        _refuse([] if index >= 0 and index == index // 1 else [index])
        return float(index)
    import numpy as np

    indices = np.asarray(index, dtype=float)
    _refuse(indices[~((indices >= 0) & (indices == indices // 1))])
    return indices


def _refuse(wrong: Any) -> None:
    if len(wrong):
        raise BadValue(
            f"a schedule takes the index of an update, 0 for the first; it was given {wrong[0]:g}."
        )
