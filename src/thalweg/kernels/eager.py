"""The eager engine: the rule's own expressions on tensors. The reference, and the fallback.

It takes what the compiled engines do not: other devices, mixed precision, strided or complex
parameters, state wider than its parameter, and updates through which to differentiate.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from thalweg.algebra import ELEMENTS, PLACE, Expr, evaluate, symbol
from thalweg.errors import BadValue
from thalweg.kernels.plan import Plan
from thalweg.kernels.shard import completed
from thalweg.kernels.table import LayoutChanged, Row


class EagerLaunch:
    """Updates the rows of one plan with torch's operators.

    A *differentiable* launch is recorded by autograd: what it writes becomes part of the graph, and
    hyperparameters may be tensors. What it reads is copied first, so that later steps, which write
    in place, leave the recorded numbers alone.
    """

    def __init__(self, plan: Plan, rows: Sequence[Row], differentiable: bool = False) -> None:
        self.plan, self.rows, self.differentiable = plan, list(rows), differentiable
        self._roots = _results(plan)
        self._active: list[tuple[Row, Tensor]] = []
        self._hypers: Sequence[Sequence[Any]] = ()
        self._completes = bool(plan.sums) and any(row.shard for row in self.rows)

    def set_hypers(self, hypers: Sequence[Sequence[Any]]) -> None:
        """Set the hyperparameters: for each group a list in the order of the rule."""
        self._hypers = hypers

    def take(self) -> bool:
        """Accept the gradients that the parameters hold now; whether every one holds a gradient."""
        pairs = [(row, row.parameter.grad) for row in self.rows]
        self._active = [(row, g) for row, g in pairs if g is not None]
        for row, g in self._active:
            if row.names_rows:
                raise LayoutChanged
            row.check_gradient(g)
            if self.differentiable:
                check_writable((row.parameter, *row.slots, *row.scalars))
        return len(self._active) == len(self.rows)

    def run(self) -> None:
        """Update the rows whose gradients were taken."""
        active, self._active = self._active, []
        together = self.plan.reads_every_row or self._completes
        for batch in [active] if together else [[each] for each in active]:
            self.update(batch)

    def update(self, batch: Sequence[tuple[Row, Tensor]]) -> None:
        """Update rows together, each with the gradient that stands beside it."""
        rows = [row for row, _ in batch]
        complete = partial(completed, self.rows, rows) if self._completes else None
        with torch.set_grad_enabled(self.differentiable):
            for row in rows:
                row.step.add_(1)
            table = [self._symbols(row, g, self._hypers[row.group]) for row, g in batch]
            for row, values in zip(rows, evaluate(self._roots, table, complete), strict=True):
                _write(row, values)

    def _symbols(self, row: Row, g: Tensor, hypers: Sequence[Any]) -> dict:
        kind = _precision((row.parameter, g, *row.slots))
        slots = {symbol("state", n): s for n, s in zip(self.plan.slots, row.slots, strict=True)}
        arrays = {symbol("input", "g"): g, symbol("input", "p"): row.parameter, **slots}
        names = self.plan.rule.hyperparameters
        return {
            **{
                key: _real(value).to(kind, copy=self.differentiable)
                for key, value in arrays.items()
            },
            **{
                symbol("scalar", n): self._number(s)
                for n, s in zip(self.plan.scalars, row.scalars, strict=True)
            },
            **{symbol("hyper", n): self._number(v) for n, v in zip(names, hypers, strict=True)},
            symbol("clock", "t"): float(row.step),
            PLACE: row.index,
            **self._elements(row),
        }

    def _number(self, value: Any) -> Any:
        """Return one number in float64: a tensor where autograd is to see it."""
        if self.differentiable and isinstance(value, Tensor):
            return value.to("cpu", torch.float64, copy=True).reshape(())
        return float(value)

    def _elements(self, row: Row) -> dict:
        """Return where in the whole parameter the elements of a part lie, if noise asks for it."""
        if row.shard is None or not self.plan.draws_noise:
            return {}
        inner = _real(row.parameter).shape[row.parameter.ndim :]
        return {ELEMENTS: row.shard.elements(inner).to(row.parameter.device)}


def check_writable(tensors: Iterable[Tensor]) -> None:
    """Refuse what cannot be written to while autograd records."""
    for each in tensors:
        if each.requires_grad and each.is_leaf:
            raise BadValue(
                f"differentiable=True: a tensor of shape {tuple(each.shape)} is a leaf that "
                "requires grad, which autograd does not let a step write to. Pass a copy that "
                "remembers it, such as [p.clone() for p in model.parameters()]."
            )


def _write(row: Row, values: Iterable[Any]) -> None:
    """Write new values to a row's parameter and state, all computed before the first is written."""
    targets = (row.parameter, *row.slots, *row.scalars)
    fresh = [_apart(value) for value in values]
    for target, value in zip(targets, fresh, strict=True):
        _real(target).copy_(value)


def _results(plan: Plan) -> tuple[Expr, ...]:
    """Return the new parameter, then the new slots and scalars, as the rule has them."""
    p, *state = plan.rule.results
    new = dict(zip(plan.rule.signature.slots, state, strict=True))
    return (p, *(new[name] for name in (*plan.slots, *plan.scalars)))


def _precision(tensors: tuple[Tensor, ...]) -> torch.dtype:
    """Return the widest real type among *tensors*, at least float32."""
    kind = torch.float32
    for each in tensors:
        kind = torch.promote_types(kind, _real(each).dtype)
    return kind


def _apart(value: Any) -> Tensor:
    """Return a value that no write to state can change: slots may swap what they hold."""
    if isinstance(value, Tensor):
        return value.clone()
    return torch.tensor(value, dtype=torch.float64)


def _real(tensor: Tensor) -> Tensor:
    """See complex numbers as pairs of real ones, as torch's optimizers do."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
