"""One inference decides where work happens: once per step, once per tensor, or per element.

*Uniform* nodes depend on hyperparameters, the clock and per-parameter scalars only: computed in
float64, outside any loop. *Reduction* nodes need a pass over elements first. *Element* nodes
make up the fused loop.
"""

from collections.abc import Iterable
from enum import IntEnum

from thalweg.algebra.expr import Expr, postorder
from thalweg.algebra.operations import REDUCTIONS


class Rank(IntEnum):
    """How often a node must be computed, in increasing order of cost."""

    UNIFORM = 0
    REDUCTION = 1
    ELEMENT = 2


_SYMBOLS = {
    "input": Rank.ELEMENT,
    "state": Rank.ELEMENT,
    "scalar": Rank.UNIFORM,
    "hyper": Rank.UNIFORM,
    "clock": Rank.UNIFORM,
}


def ranks(roots: Iterable[Expr]) -> dict[Expr, Rank]:
    """Return the rank of every node reachable from *roots*."""
    known: dict[Expr, Rank] = {}
    for current in postorder(tuple(roots)):
        known[current] = _rank(current, known)
    return known


def _rank(current: Expr, known: dict[Expr, Rank]) -> Rank:
    if current.op == "symbol":
        return _SYMBOLS[current.payload[0]]
    if current.op in REDUCTIONS:
        return Rank.REDUCTION
    if current.op in ("normal", "noise_at", "unit_mean"):
        return Rank.ELEMENT
    return max((known[arg] for arg in current.args), default=Rank.UNIFORM)


def levels(roots: Iterable[Expr]) -> dict[Expr, int]:
    """Return for every node how many passes of reductions must come before it."""
    known: dict[Expr, int] = {}
    for current in postorder(tuple(roots)):
        below = max((known[arg] for arg in current.args), default=0)
        known[current] = below + (current.op in REDUCTIONS)
    return known
