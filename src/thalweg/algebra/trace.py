"""Tracing runs a rule once on symbols and keeps the expressions it returns."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from thalweg.algebra import expr, operations
from thalweg.algebra import signature as signatures
from thalweg.algebra.expr import Expr, interned, substitute, symbol
from thalweg.algebra.rank import Rank, ranks
from thalweg.algebra.signature import FirstGradient, Scalar, Signature, parse
from thalweg.errors import BadType, BadValue


@dataclass(frozen=True)
class Traced:
    """What tracing found: the step and the new state in order, and the author's variable names."""

    outputs: tuple[Expr, ...]
    names: dict[Expr, str] = field(default_factory=dict)


def trace(rule: Any) -> tuple[Expr, ...]:
    """Return the step and the new state values of *rule* as one interned tuple of expressions.

    *rule* is a Rule, a plain function with a rule's signature, or source text as `source` prints
    it. Two definitions of the same algorithm give the same object.
    """
    return traced(rule).outputs


def traced(rule: Any) -> Traced:
    """Return the trace of *rule* together with the names its author gave to intermediate values."""
    if hasattr(rule, "traced"):
        return rule.traced
    function = define(rule) if isinstance(rule, str) else rule
    signature = parse(function)
    run = partial(expand, function, signature, owner=function.__name__)
    return trace_with(run, signature, {function.__code__.co_filename})


def trace_with(
    run: Callable[[dict[str, Expr]], tuple[Expr, ...]], signature: Signature, files: set[str]
) -> Traced:
    """Trace *run*, which turns the symbols of *signature* into the step and the new state.

    Variable names are taken from the functions that stand in *files*.
    """
    names: dict[Expr, str] = {}
    with _watching_names(names, files):
        outputs = run(symbols(signature))
    for output in outputs[1:]:
        if output.op == "where" and output not in names and output.args[2] in names:
            names[output] = names.pop(output.args[2])
    return Traced(interned(outputs), names)


def symbols(signature: Signature) -> dict[str, Expr]:
    """Return the symbol of every name in *signature*."""
    table = {name: symbol("input", name) for name in signature.inputs}
    for name, initial in signature.slots.items():
        table[name] = symbol("scalar" if isinstance(initial, Scalar) else "state", name)
    for name in (*signature.hyperparameters, *signature.shared):
        table[name] = symbol("hyper", name)
    if signature.clock or _starts_from_gradient(signature):
        table["t"] = symbol("clock", "t")
    return table


def expand(
    function: Callable, signature: Signature, values: dict[str, Any], owner: str
) -> tuple[Expr, ...]:
    """Call *function* on expressions; slots that begin as the first gradient are made explicit.

    Where such a slot would become *b*, it becomes ``where(t <= 1, g, b)``, in the step as well.
    """
    outputs = tuple(map(_as_output, call(function, signature, values)))
    _check_outputs(outputs, signature, owner)
    replacements = {
        new: operations.where(values["t"] <= 1, values["g"], new)
        for new, initial in zip(outputs[1:], signature.slots.values(), strict=True)
        if isinstance(initial, FirstGradient)
    }
    return substitute(outputs, replacements)


def call(function: Callable, signature: Signature, values: dict[str, Any]) -> tuple:
    """Call *function* with those of *values* that its signature names; always return a tuple."""
    wanted = (*signature.inputs, *signature.slots, *signature.hyperparameters, *signature.shared)
    clock = ("t",) if signature.clock else ()
    result = function(**{name: values[name] for name in (*wanted, *clock)})
    return result if isinstance(result, tuple) else (result,)


def _starts_from_gradient(signature: Signature) -> bool:
    return any(isinstance(initial, FirstGradient) for initial in signature.slots.values())


def _as_output(value: Any) -> Any:
    return expr.constant(value) if type(value) in (int, float) else value


def _check_outputs(outputs: tuple, signature: Signature, owner: str) -> None:
    expected = 1 + len(signature.slots)
    if len(outputs) != expected:
        raise BadValue(
            f"{owner} returned {len(outputs)} values; expected {expected}: the step, then the new "
            f"value of each state slot in order ({', '.join(signature.slots) or 'it has none'})."
        )
    for output in outputs:
        if not isinstance(output, Expr):
            raise BadType(
                f"{owner} returned {type(output).__name__} ({output!r}) where an expression of its "
                "inputs was expected. Build it from the arguments with the functions of "
                "thalweg.algebra."
            )
        if output.op in expr.CONDITIONS:
            raise BadType(f"{owner} returned the comparison {output!r}; expected a number.")
    rank = ranks(outputs)
    for current in rank:
        if current.op in operations.REDUCTIONS and rank[current.args[0]] != Rank.ELEMENT:
            raise BadType(
                f"{owner} sums {current.args[0]!r}, which is the same for every element. Sum "
                "something that depends on the gradient, the parameter or state."
            )


@contextmanager
def _watching_names(names: dict[Expr, str], files: set[str]) -> Iterator[None]:
    """Collect the local variable names of every function in *files* that returns.

    What a function is given keeps the name it had where it was made, if it had one there.
    """

    def watch(frame, event, _):
        code = frame.f_code
        if event == "return" and code.co_filename in files:
            given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            for name, value in frame.f_locals.items():
                if isinstance(value, Expr) and value.args and name.isidentifier():
                    names[value] = names.get(value, name) if name in given else name

    if sys.getprofile() is not None:
        yield  # a profiler is running; names only make prints more readable
        return
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)


def define(text: str) -> Callable:
    """Return the function that *text*, a rule's Python source, defines."""
    space: dict[str, Any] = {
        name: getattr(operations, name)
        for name in (*operations.OPERATIONS, "norm", "global_norm", "ema")
        if hasattr(operations, name)
    }
    space |= {
        "constant": expr.constant, "inf": math.inf, "nan": math.nan,
        "from_hyper": signatures.from_hyper, "from_input": signatures.from_input,
        "first_gradient": signatures.first_gradient, "scalar": signatures.scalar,
    }  # fmt: skip
    defined: dict[str, Any] = {}
    exec(compile(text, "<rule source>", "exec"), space, defined)
    functions = [value for value in defined.values() if callable(value)]
    if len(functions) != 1:
        raise BadValue(f"rule source must define one function; it defines {len(functions)}.")
    return functions[0]
