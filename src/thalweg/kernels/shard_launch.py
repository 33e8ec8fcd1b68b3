"""Runs other engines on the parts of distributed parameters that this process holds."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from thalweg.kernels.shard import Shard, check_placed_alike, local, shard_of
from thalweg.kernels.table import Launch, LayoutChanged, Row


class ShardLaunch:
    """Updates distributed parameters, and plain ones beside them, part by part.

    Its engines see plain tensors over the memory of the parts; optimizers and checkpoints see the
    distributed tensors. Whether a parameter has a gradient must be the same in every process.
    """

    def __init__(
        self, rows: Sequence[Row], engines_for: Callable[[list[Row]], list[Launch]]
    ) -> None:
        self.rows = list(rows)
        shards = [shard_of(row.parameter) for row in self.rows]
        parts = [
            row if shard is None else _part(row, shard)
            for row, shard in zip(self.rows, shards, strict=True)
        ]
        self._pairs = [pair for pair in zip(self.rows, parts, strict=True) if pair[1].shard]
        self._spread = [t for row, _ in self._pairs for t in (row.parameter, *row.slots)]
        self._forms = list(map(_form, self._spread))
        self._engines = engines_for(parts)

    def set_hypers(self, hypers: Sequence[Sequence[float]]) -> None:
        """Set the hyperparameters: for each group a list in the order of the rule."""
        for engine in self._engines:
            engine.set_hypers(hypers)

    @torch.no_grad()
    def take(self) -> bool:
        """Accept the gradients that the parameters hold now; whether every one holds a gradient.

        Sums over processes that are pending in a gradient are carried out, on all of them.
        """
        if list(map(_form, self._spread)) != self._forms:
            raise LayoutChanged
        for row, part in self._pairs:
            part.parameter.grad = _gradient(row)
        return min([engine.take() for engine in self._engines], default=True)

    def run(self) -> None:
        """Update the rows whose gradients were taken."""
        for engine in self._engines:
            engine.run()
        changed = [part.parameter for _, part in self._pairs if part.parameter.grad is not None]
        increment_version(changed)
        for parameter in changed:
            parameter.grad = None


def _part(row: Row, shard: Shard) -> Row:
    """Return *row* with plain tensors over the memory that this process holds."""
    parameter = local(row.parameter).detach()
    if hasattr(parameter, "grad_dtype"):
        parameter.grad_dtype = row.parameter.grad_dtype
    return replace(row, parameter=parameter, slots=tuple(map(local, row.slots)), shard=shard)


_address = torch._C.TensorBase.data_ptr


def _form(tensor: Tensor) -> tuple:
    part = local(tensor)
    return _address(part), part.shape, part.stride()


def _gradient(row: Row) -> Tensor | None:
    """Return the part of the row's gradient that belongs to the part of its parameter."""
    p, g = row.parameter, row.parameter.grad
    if g is None:
        return None
    row.check_gradient(g)
    check_placed_alike(g, p, "the gradient", pending=True)
    if g.placements != p.placements:  # type: ignore[attr-defined]
        g = g.redistribute(placements=p.placements)  # type: ignore[attr-defined]
    return local(g).detach()
