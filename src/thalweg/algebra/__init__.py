"""Rules as data: expressions, the operations they are made of, and the printers that read them."""

from thalweg.algebra.evaluate import ELEMENTS, PLACE, evaluate
from thalweg.algebra.expr import Expr, constant, constants, node, symbol
from thalweg.algebra.latex import equations, initial_values, latex
from thalweg.algebra.operations import (
    OPERATIONS,
    clip,
    cos,
    ema,
    exp,
    floor,
    global_norm,
    log,
    maximum,
    mean_tensor,
    minimum,
    norm,
    normal,
    sign,
    single,
    sqrt,
    sum_launch,
    sum_tensor,
    unit_mean,
    where,
)
from thalweg.algebra.python import expression, source
from thalweg.algebra.rank import Rank, levels, ranks
from thalweg.algebra.signature import (
    Hyperparameter,
    Range,
    Signature,
    first_gradient,
    from_hyper,
    from_input,
    parse,
    scalar,
)
from thalweg.algebra.trace import Traced, call, expand, trace, trace_with, traced

__all__ = [
    "ELEMENTS", "OPERATIONS", "PLACE", "Expr", "Hyperparameter", "Range", "Rank", "Signature",
    "Traced", "call", "clip", "constant", "constants", "cos", "ema", "equations", "evaluate", "exp",
    "expand", "expression", "first_gradient", "floor", "from_hyper", "from_input",
    "global_norm", "initial_values", "latex", "levels", "log", "maximum", "mean_tensor",
    "minimum", "node", "norm", "normal", "parse", "ranks", "scalar", "sign", "single", "source",
    "sqrt", "sum_launch", "sum_tensor", "symbol", "trace", "trace_with", "traced", "unit_mean",
    "where",
]  # fmt: skip
