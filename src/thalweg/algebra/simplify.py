"""Laws of arithmetic over the reals, applied only where somebody asks for them by name.

Rules and kernels never pass through here: x * 0 is not 0 where x is infinite. These laws answer
whether two rules are one algorithm once some of their numbers are fixed.
"""

from collections.abc import Callable

from thalweg.algebra.expr import CONDITIONS, Expr, constant, node, postorder, substitute, symbol
from thalweg.algebra.operations import OPERATIONS, REDUCTIONS, apply

_CLOCK = symbol("clock", "t")
_ZERO, _ONE = constant(0.0), constant(1.0)


def fixed(outputs: tuple[Expr, ...], **values: float) -> tuple[Expr, ...]:
    """Return the simplified *outputs* of a rule with some hyperparameters set to numbers."""
    numbers = {symbol("hyper", name): constant(value) for name, value in values.items()}
    return simplified(substitute(outputs, numbers))


def simplified(roots: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """Return *roots* after the laws of this file are applied to every node, arguments first."""
    known: dict[Expr, Expr] = {}
    for current in postorder(roots):
        args = tuple(known[arg] for arg in current.args)
        known[current] = _simpler(current.op, args) if args else current
    return tuple(known[root] for root in roots)


def _simpler(op: str, args: tuple[Expr, ...]) -> Expr:
    numbers = [arg.payload for arg in args if arg.op == "constant"]
    if len(numbers) == len(args) and op not in (*CONDITIONS, *REDUCTIONS, "unit_mean", "normal"):
        return constant(apply(op, *numbers))
    law = _LAWS.get(op)
    return law(*args) if law else node(op, *args)


def _sum(a: Expr, b: Expr) -> Expr:
    """Apply a + 0 = a and 0 + b = b."""
    return b if a is _ZERO else a if b is _ZERO else node("add", a, b)


def _difference(a: Expr, b: Expr) -> Expr:
    """Apply a - 0 = a and 0 - b = -b."""
    return a if b is _ZERO else node("neg", b) if a is _ZERO else node("sub", a, b)


def _product(a: Expr, b: Expr) -> Expr:
    """Apply 0 a = 0 and 1 a = a, from either side."""
    if a is _ZERO or b is _ZERO:
        return _ZERO
    return b if a is _ONE else a if b is _ONE else node("mul", a, b)


def _quotient(a: Expr, b: Expr) -> Expr:
    """Apply 0 / b = 0 and a / 1 = a."""
    return _ZERO if a is _ZERO else a if b is _ONE else node("div", a, b)


def _power(a: Expr, b: Expr) -> Expr:
    """Apply a^0 = 1, a^1 = a, 1^b = 1, and 0^t = 0 since the clock begins at 1."""
    if b is _ZERO or a is _ONE:
        return _ONE
    if b is _ONE or (a is _ZERO and b is _CLOCK):
        return a
    return node("pow", a, b)


def _choice(condition: Expr, a: Expr, b: Expr) -> Expr:
    """Apply: a choice between equals is no choice, and a known condition is a decision."""
    if a is b:
        return a
    if all(arg.op == "constant" for arg in condition.args):
        holds = OPERATIONS[condition.op].number(*(arg.payload for arg in condition.args))
        return a if holds else b
    return node("where", condition, a, b)


_LAWS: dict[str, Callable[..., Expr]] = {
    "add": _sum,
    "sub": _difference,
    "mul": _product,
    "div": _quotient,
    "pow": _power,
    "where": _choice,
}
