"""The operations a rule may use: one table, from which every printer and engine takes its column.

Each operation works on whatever it is given. On expressions it records a node, on Python numbers
it computes with IEEE semantics (infinities and NaN instead of exceptions), on NumPy arrays and
torch tensors it calls the function of their own library.
"""

import ctypes
import math
import operator
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from thalweg.algebra.expr import Expr, node
from thalweg.errors import BadType

COMPARISON, SUM, PRODUCT, UNARY, POWER, ATOM = range(1, 7)


@dataclass(frozen=True)
class Operation:
    """A row of the table: how one operation is written in each language and how it computes.

    ``python`` and ``latex`` are templates of the printers; ``binds`` says how tightly the result
    holds together, so that printers know where parentheses belong. ``kernel`` is the form in a
    compiled loop, where every operand is an atom and ``{T}`` is the loop's type. ``number``
    computes on Python numbers and ``array(library, *values)`` on arrays.
    """

    name: str
    arity: int
    python: str
    latex: str
    kernel: str
    binds: int
    number: Callable
    array: Callable


def _operator(
    name: str, sign: str, latex: str, binds: int, compute: Callable, array: Callable | None = None
) -> Operation:
    text = f"{{0}} {sign} {{1}}"
    number = math.pow if name == "pow" else compute
    array = array or (lambda _, a, b: compute(a, b))
    return Operation(name, 2, text, latex, text, binds, number, array)


def _function(
    name: str, latex: str, number: Callable, array: Callable | None = None,
    kernel: str | None = None, arity: int = 1, binds: int = ATOM,
) -> Operation:  # fmt: skip
    call = f"{name}({', '.join(f'{{{i}}}' for i in range(arity))})"
    array = array or partial(_by_name, name)
    return Operation(name, arity, call, latex, kernel or call, binds, number, array)


def _by_name(name: str, library: Any, *values: Any) -> Any:
    return getattr(library, name)(*_lifted(library, values))


def _lifted(library: Any, values: tuple) -> tuple:
    """Return *values* with numbers as 0-d tensors where torch's functions insist on tensors."""
    if library.__name__ != "torch" or len(values) == 1:
        return values
    model = next(value for value in values if isinstance(value, library.Tensor))
    dtype = model.dtype if model.dtype.is_floating_point else library.float64
    return tuple(
        value if isinstance(value, library.Tensor) else library.tensor(value, dtype=dtype)
        for value in values
    )


def _div_array(library: Any, a: Any, b: Any) -> Any:
    """Divide with one rounding; torch takes a number over a tensor for its reciprocal, times it."""
    return operator.truediv(*(_lifted(library, (a, b)) if library_of(a) is None else (a, b)))


def _sqrt_array(library: Any, a: Any) -> Any:
    """Take the root; in torch its derivative is 0 where the root has none that is finite.

    There autograd would multiply infinity or NaN with the 0 of a square or of a choice not made.
    """
    root = library.sqrt(a)
    if library.__name__ != "torch" or not library.is_grad_enabled():
        return root
    rises = a > 0
    return library.where(rises, library.sqrt(library.where(rises, a, 1)), root.detach())


def _maximum(a: float, b: float) -> float:
    return a if a != a or a >= b else b


def _minimum(a: float, b: float) -> float:
    return a if a != a or a <= b else b


def _clip(x: float, low: float, high: float) -> float:
    return _minimum(_maximum(x, low), high)


def _clip_array(_: Any, x: Any, low: Any, high: Any) -> Any:
    return apply("minimum", apply("maximum", x, low), high)


def _sign(a: float) -> float:
    return float((a > 0) - (a < 0))


def _sign_array(library: Any, a: Any) -> Any:
    return library.sign(a) if library.__name__ == "torch" else library.sign(library.nan_to_num(a))


def _where(condition: bool, a: Any, b: Any) -> Any:
    return a if condition else b


def _where_array(library: Any, condition: Any, a: Any, b: Any) -> Any:
    if library_of(condition) is None:
        return _where(condition, a, b)
    return library.where(*_lifted(library, (condition, a, b)))


def _single(a: float) -> float:
    return ctypes.c_float(a).value


def _single_array(library: Any, a: Any) -> Any:
    if library.__name__ == "torch":
        return a.to(library.float32).to(a.dtype)
    return a.astype(library.float32).astype(a.dtype)


def _total(library: Any, a: Any) -> Any:
    """Sum in float64, whatever the elements' precision; the result is one float64 number."""
    return library.sum(a, dtype=library.float64)


def _mean(library: Any, a: Any) -> Any:
    """Average in float64; the result is one float64 number."""
    return library.mean(a, dtype=library.float64)


def _unit_mean(library: Any, a: Any) -> Any:
    """Average over every axis but the first, where there are others."""
    if a.ndim < 2:
        return library.zeros_like(a)
    axes = tuple(range(1, a.ndim))
    sums = library.sum(a, axis=axes, keepdims=True, dtype=library.float64)
    means = sums * (1 / max(1, math.prod(a.shape[1:])))
    means = means.to(a.dtype) if hasattr(means, "to") else means.astype(a.dtype)
    return library.broadcast_to(means, a.shape)


def _needs_elements(*_: Any) -> float:
    raise BadType("a sum over elements, or noise per element, needs an array, not one number.")


def _needs_driver(*_: Any) -> float:
    raise BadType("normal noise is keyed by step and position: only an engine can draw it.")


_ROWS = (
    _operator("add", "+", "{0} + {1}", SUM, operator.add),
    _operator("sub", "-", "{0} - {1}", SUM, operator.sub),
    _operator("mul", "*", r"{0}\,{1}", PRODUCT, operator.mul),
    _operator("div", "/", r"\frac{{{0}}}{{{1}}}", PRODUCT, operator.truediv,
              _div_array),
    _operator("mod", "%", r"{0} \bmod {1}", PRODUCT, operator.mod),
    _operator("pow", "**", "{0}^{{{1}}}", POWER, operator.pow),
    Operation("neg", 1, "-{0}", "-{0}", "-{0}", UNARY, operator.neg, lambda _, a: -a),
    _function("sqrt", r"\sqrt{{{0}}}", math.sqrt, _sqrt_array, "math.sqrt({0})"),
    _function("exp", "e^{{{0}}}", math.exp, kernel="math.exp({0})", binds=POWER),
    _function("log", r"\log\left({0}\right)", math.log, kernel="math.log({0})"),
    _function("cos", r"\cos\left({0}\right)", math.cos, kernel="math.cos({0})"),
    _function("floor", r"\left\lfloor {0} \right\rfloor", lambda a: float(math.floor(a)),
              kernel="np.floor({0})"),
    _function("abs", r"\left|{0}\right|", abs, kernel="abs({0})"),
    _function("sign", r"\mathrm{{sign}}\left({0}\right)", _sign, _sign_array,
              "select({0} > {T}(0), {T}(1), select({0} < {T}(0), {T}(-1), {T}(0)))"),
    _function("maximum", r"\max\left({0}, {1}\right)", _maximum,
              kernel="select(({0} >= {1}) | ({0} != {0}), {0}, {1})", arity=2),
    _function("minimum", r"\min\left({0}, {1}\right)", _minimum,
              kernel="select(({0} <= {1}) | ({0} != {0}), {0}, {1})", arity=2),
    _function("clip", r"\mathrm{{clip}}\left({0}, {1}, {2}\right)", _clip, _clip_array,
              arity=3),
    _operator("lt", "<", "{0} < {1}", COMPARISON, operator.lt),
    _operator("le", "<=", r"{0} \le {1}", COMPARISON, operator.le),
    _operator("gt", ">", "{0} > {1}", COMPARISON, operator.gt),
    _operator("ge", ">=", r"{0} \ge {1}", COMPARISON, operator.ge),
    _operator("eq", "==", "{0} = {1}", COMPARISON, operator.eq),
    _operator("ne", "!=", r"{0} \ne {1}", COMPARISON, operator.ne),
    _function("where", r"\begin{{cases}} {0} \end{{cases}}", _where, _where_array,
              "select({0}, {1}, {2})", arity=3),
    _function("single", "{0}", _single, _single_array, "{T}(float32({0}))"),
    _function("sum_tensor", r"\textstyle\sum_{{\text{{tensor}}}} {0}", _needs_elements, _total,
              binds=SUM),
    _function("sum_launch", r"\textstyle\sum_{{\text{{all}}}} {0}", _needs_elements, _total,
              binds=SUM),
    _function("mean_tensor", r"\mathrm{{mean}}\left({0}\right)", _needs_elements, _mean),
    _function("unit_mean", r"\mathrm{{mean}}_{{\text{{unit}}}}\left({0}\right)",
              _needs_elements, _unit_mean),
    _function("noise_key", r"\mathrm{{key}}\left({0}, {1}\right)", _needs_driver,
              _needs_driver,
              "noise_key({0}, {1}, load_int64(line, INDEX))", arity=2),
    _function("noise_at", r"\mathcal{{N}}_{{{0}}}", _needs_driver, _needs_driver,
              "({T}(byte_sum({0}, first + i)) - {T}(NOISE_MEAN)) * {T}(NOISE_SCALE)"),
    _function("normal", r"\mathcal{{N}}_{{{0},{1}}}\left(0, 1\right)", _needs_driver, _needs_driver,
              arity=2),
)  # fmt: skip

OPERATIONS: dict[str, Operation] = {row.name: row for row in _ROWS}

REDUCTIONS = ("sum_tensor", "sum_launch", "mean_tensor")


def library_of(value: Any) -> Any:
    """Return the module (numpy or torch) whose array *value* is, or None for anything else."""
    for kind in type(value).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in ("torch", "numpy") and hasattr(value, "dtype"):
            return sys.modules[root]
    return None


def apply(name: str, *values: Any) -> Any:
    """Compute operation *name* on expressions, Python numbers, NumPy arrays or torch tensors."""
    operation = OPERATIONS[name]
    if any(isinstance(value, Expr) for value in values):
        return node(name, *values)
    library = next(filter(None, map(library_of, values)), None)
    if library is not None:
        return operation.array(library, *values)
    try:
        return operation.number(*values)
    except (ArithmeticError, ValueError):
        return _ieee(name, values)


_IEEE_NAMES = {"div": "divide", "pow": "power", "mul": "multiply"}


def _ieee(name: str, values: tuple) -> float:
    """Compute what Python refuses (division by zero, root of a negative, ...) as IEEE 754 does."""
    import numpy

    with numpy.errstate(all="ignore"):
        return float(getattr(numpy, _IEEE_NAMES.get(name, name))(*map(numpy.float64, values)))


def sqrt(x):
    """Square root; NaN of a negative number."""
    return apply("sqrt", x)


def exp(x):
    """Natural exponential."""
    return apply("exp", x)


def log(x):
    """Natural logarithm; -inf of zero, NaN of a negative number."""
    return apply("log", x)


def cos(x):
    """Cosine of an angle in radians."""
    return apply("cos", x)


def floor(x):
    """Largest whole number not above *x*."""
    return apply("floor", x)


def sign(x):
    """Return -1, 0 or 1; 0 for NaN, as torch has it."""
    return apply("sign", x)


def maximum(a, b):
    """Elementwise larger of two values; NaN if either is NaN."""
    return apply("maximum", a, b)


def minimum(a, b):
    """Elementwise smaller of two values; NaN if either is NaN."""
    return apply("minimum", a, b)


def clip(x, low, high):
    """Bound *x* to the interval from *low* to *high*; NaN stays NaN."""
    return apply("clip", x, low, high)


def where(condition, a, b):
    """*a* where the condition holds, *b* elsewhere; the other one never raises."""
    return apply("where", condition, a, b)


def single(x):
    """Round *x* to float32 and go on in the precision it had."""
    return apply("single", x)


def sum_tensor(x):
    """Sum over the elements of one tensor, accumulated in float64."""
    return apply("sum_tensor", x)


def sum_launch(x):
    """Sum over the elements of every tensor that is updated together, accumulated in float64."""
    return apply("sum_launch", x)


def mean_tensor(x):
    """Mean over the elements of one tensor, accumulated in float64."""
    return apply("mean_tensor", x)


def unit_mean(x):
    """Mean over every axis but the first, for each element; 0 for tensors of fewer than two axes.

    Along the first axis lie the units of a layer: the rows of a weight matrix, the filters of a
    convolution.
    """
    return apply("unit_mean", x)


def normal(seed, t):
    """Draw standard normal noise for every element, keyed by seed, step and the element's place."""
    return apply("normal", seed, t)


def norm(x):
    """Euclidean norm of one tensor."""
    return sqrt(sum_tensor(x * x))


def global_norm(x):
    """Euclidean norm over every tensor that is updated together."""
    return sqrt(sum_launch(x * x))


def ema(x, average, beta):
    """Exponential moving average: *beta* of the old average, the rest of the new value."""
    return beta * average + (1 - beta) * x
