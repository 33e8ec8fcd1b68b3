"""Prints an expression, or a whole rule, as Python source that traces back to the same tree."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from thalweg.algebra.expr import Expr, postorder
from thalweg.algebra.operations import ATOM, COMPARISON, OPERATIONS, POWER, UNARY
from thalweg.algebra.signature import FirstGradient, Signature
from thalweg.algebra.trace import symbols, traced

_RESERVED = {*OPERATIONS, "constant", "inf", "nan", "math"}
_REPR_LIMIT = 60


def source(rule: Any, name: str | None = None) -> str:
    """Return *rule* as the text of one Python function: ``trace(source(rule)) is trace(rule)``."""
    found = traced(rule)
    signature = rule.signature
    taken = symbols(signature)
    named = name_nodes(found.outputs, found.names, set(taken))
    known: dict[Expr, str] = {node: text for text, node in taken.items()}
    lines = []
    for current, text in named.items():
        lines.append(f"    {text} = {expression(current, known)}")
        known[current] = text
    results = ", ".join(expression(output, known) for output in found.outputs)
    return "\n".join([_header(name or rule.key, signature, taken), *lines, f"    return {results}"])


def assignments(left: str, value: Expr, names: dict[Expr, str]) -> str:
    """Return as Python the lines that lead to a *value*, of which the last calls it *left*.

    A value within it has a line of its own where *names* has a name for it. Whole numbers and pi
    are written as in a formula.
    """
    leaves = [each for each in postorder((value,)) if not each.args]
    known = {each: _short(each.payload) for each in leaves if each.op == "constant"}
    taken = {each.payload[1] for each in leaves if each.op == "symbol"}
    lines = []
    for current, name in name_nodes((value,), names, taken, "k").items():
        if current in names and current is not value:
            lines.append(f"{name} = {expression(current, known)}")
            known[current] = name
    return "\n".join([*lines, f"{left} = {expression(value, known)}"])


def _short(number: float) -> str:
    return "pi" if number == math.pi else f"{number:.12g}"


def _header(name: str, signature: Signature, taken: dict[str, Expr]) -> str:
    slots = [
        f"{slot}={0.0 if isinstance(initial, FirstGradient) else initial!r}"
        for slot, initial in signature.slots.items()
    ]
    keywords = [*(["t"] if "t" in taken else []), *signature.shared]
    keywords += [f"{each.name}={each.default!r}" for each in signature.hyperparameters.values()]
    parameters = [*signature.inputs, *slots, *(["*"] if keywords else []), *keywords]
    return f"def {name}({', '.join(parameters)}):"


def name_nodes(
    outputs: tuple[Expr, ...], names: dict[Expr, str], taken: set[str], clock: str = "t"
) -> dict[Expr, str]:
    """Return the nodes worth a line of their own, in order of computation, each with a name.

    Those are the ones the author named and the ones used more than once.
    """
    order = postorder(outputs)
    uses = Counter(arg for current in order for arg in current.args)
    uses.update(outputs)
    chosen: dict[Expr, str] = {}
    used = {*taken, *_RESERVED, clock}
    for current in order:
        if current.args and (current in names or uses[current] > 1):
            chosen[current] = _fresh(names.get(current, "x"), used)
            used.add(chosen[current])
    return chosen


def _fresh(name: str, used: set[str]) -> str:
    while name in used:
        name += "_prime"
    return name


def expression(root: Expr, known: dict[Expr, str] | None = None) -> str:
    """Return *root* as a Python expression; nodes in *known* appear under their names."""
    table = dict(known or {})
    if known is None and len(postorder((root,))) > _REPR_LIMIT:
        return f"<expression of {len(postorder((root,)))} nodes>"
    return write(root, lambda leaf: table.get(leaf), _leaf, _compose)[0]


Written = tuple[str, int]


def write(
    root: Expr,
    named: Callable[[Expr], str | None],
    leaf: Callable[[Expr], Written],
    compose: Callable[[Expr, list[Written]], Written],
) -> Written:
    """Walk *root* once and return its text and how tightly it binds."""
    done: dict[Expr, Written] = {}
    for current in postorder((root,)):
        name = named(current)
        if name is not None:
            done[current] = (name, ATOM)
        elif not current.args:
            done[current] = leaf(current)
        else:
            done[current] = compose(current, [done[arg] for arg in current.args])
    return done[root]


def _leaf(current: Expr) -> Written:
    if current.op == "symbol":
        return current.payload[1], ATOM
    text = repr(current.payload)
    return text, UNARY if text.startswith("-") else ATOM


def _compose(current: Expr, args: list[Written]) -> Written:
    operation = OPERATIONS[current.op]
    first, *rest = (arg.op == "constant" for arg in current.args)
    if first and (all(rest) or operation.binds == COMPARISON):
        args[0] = (f"constant({args[0][0]})", ATOM)
    if operation.binds == ATOM or operation.python.startswith(current.op + "("):
        return operation.python.format(*(text for text, _ in args)), ATOM
    return operation.python.format(*_guarded(operation.binds, args)), operation.binds


def _guarded(binds: int, args: list[Written]) -> list[str]:
    """Put parentheses around the operands that would otherwise be read differently."""
    left = binds + 1 if binds in (POWER, COMPARISON) else binds
    right = binds if binds == POWER else binds + 1
    needed = [left] if len(args) == 1 else [left, right]
    return [
        text if holds >= least else f"({text})"
        for (text, holds), least in zip(args, needed, strict=True)
    ]
