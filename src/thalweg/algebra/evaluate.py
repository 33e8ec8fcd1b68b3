"""Computes a rule's expressions on numbers, arrays or tensors: the reference all engines answer to.

The arguments are a table, one row per parameter, because some nodes sum over every row.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from thalweg.algebra import noise
from thalweg.algebra.expr import Expr, postorder, symbol
from thalweg.algebra.operations import REDUCTIONS, apply, library_of
from thalweg.algebra.rank import Rank, ranks

Row = dict[Expr, Any]

PLACE = symbol("place", "parameter")
"""Stands in a row for the index of its parameter, on which noise depends; 0 where it is absent."""

ELEMENTS = symbol("place", "elements")
"""Stands in a row for the indices of its elements in the parameter, where it holds but a part."""

Completion = Callable[[list], list]


def evaluate(
    roots: tuple[Expr, ...], rows: list[Row], complete: Completion | None = None
) -> list[tuple]:
    """Return the values of *roots* for each row, a mapping from symbols to values.

    Values may be numbers, NumPy arrays or torch tensors; whatever they support (autograd,
    ``torch.func.vmap``) the result supports.

    Where rows hold parts of parameters, *complete* takes the sum over each row's elements and
    returns the sum over each whole parameter. It is called once for every sum, even for no rows.
    """
    order = postorder(roots)
    if complete is not None or any(current.op == "sum_launch" for current in order):
        return _together(roots, order, rows, complete)
    return [_together(roots, order, [row], None)[0] for row in rows]


def _together(
    roots: tuple[Expr, ...], order: list[Expr], rows: list[Row], complete: Completion | None
) -> list[tuple]:
    known = [dict(row) for row in rows]
    rank = ranks(roots)
    models = [_model(row) for row in rows]
    uses = Counter(arg for current in order for arg in current.args)
    uses.update(roots)
    for current in order:
        precise = current.op in ("where", "normal") and rank[current] == Rank.ELEMENT
        like = models if precise else [None] * len(rows)
        if complete is None or current.op not in REDUCTIONS:
            values = _values(current, known, like)
        else:
            values = _completed(current, known, complete)
        if current.op == "sum_launch":
            values = _totals(values)
        for row, value in zip(known, values, strict=True):
            row[current] = value
        _forget(current, uses, known)
    return [tuple(row[root] for root in roots) for row in known]


def _forget(current: Expr, uses: Counter, known: list[Row]) -> None:
    """Drop the operands that nothing else will read, so that big intermediates are freed."""
    for arg in current.args:
        uses[arg] -= 1
        if not uses[arg]:
            for row in known:
                row.pop(arg, None)


def _model(row: Row) -> Any:
    """Return an array that is a parameter, gradient or state: its dtype and shape are the row's."""
    arrays = (
        value
        for key, value in row.items()
        if key.payload[0] in ("input", "state") and library_of(value) is not None
    )
    return next(arrays, None)


def _values(current: Expr, known: list[Row], models: list[Any]) -> list[Any]:
    if current.op == "symbol":
        return [row[current] for row in known]
    if current.op == "constant":
        return [current.payload] * len(known)
    return [_apply(current, row, model) for row, model in zip(known, models, strict=True)]


def _completed(reduction: Expr, known: list[Row], complete: Completion) -> list[Any]:
    """Return a sum or mean over each whole parameter, of which only parts are at hand."""
    parts = [row[reduction.args[0]] for row in known]
    sums = complete([apply("sum_tensor", part) for part in parts])
    if reduction.op != "mean_tensor":
        return sums
    counts = complete([float(math.prod(part.shape)) for part in parts])
    return [total / count for total, count in zip(sums, counts, strict=True)]


def _totals(values: list[Any]) -> list[Any]:
    """Return the sum of *values* in place of each, on the device where that one was."""
    if not values:
        return []
    total = values[0]
    for value in values[1:]:
        total = total + _beside(value, total)
    return [_beside(total, value) for value in values]


def _beside(value: Any, model: Any) -> Any:
    """Return *value* on the device of *model*; only torch's tensors move."""
    return value.to(model.device) if hasattr(value, "to") else value


def _apply(current: Expr, row: Row, model: Any) -> Any:
    """Compute one node; a choice between plain numbers takes the precision of *model*."""
    args = [row[arg] for arg in current.args]
    library = library_of(model)
    if current.op == "normal" and library is not None:
        return noise.draw((*args, row.get(PLACE, 0)), model, library, row.get(ELEMENTS))
    if library is not None:
        args[1:] = [_as_precise(value, model) for value in args[1:]]
    return apply(current.op, *args)


def _as_precise(value: Any, model: Any) -> Any:
    """Return one number beside elements in the precision of *model*, elements as they are."""
    library = library_of(value)
    if library is None:
        return library_of(model).asarray(value, dtype=model.dtype)
    if value.ndim or not model.ndim:
        return value
    return value.to(model.dtype) if hasattr(value, "to") else value.astype(model.dtype)
