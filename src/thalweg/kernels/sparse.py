"""Updates only the rows that a sparse gradient names, and leaves all other rows entirely alone.

Rows that are not named do not decay, keep their momentum and are not averaged: the update is
*lazy*, as in torch's SparseAdam. The clock t belongs to the parameter and counts its gradients, one
that names no row included. A slot that begins as the first gradient does so for the rows of the
parameter's first gradient; in rows named later it begins at zero.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from thalweg.kernels import layout
from thalweg.kernels.cpu import compiled, control_block
from thalweg.kernels.cpu_launch import DTYPES, NOWHERE, describe, storage_of_state
from thalweg.kernels.eager import EagerLaunch
from thalweg.kernels.openmp import threads_available
from thalweg.kernels.plan import Plan
from thalweg.kernels.table import LayoutChanged, Row


@dataclass(frozen=True)
class Touched:
    """What a gradient says of the *place*-th row of a launch: *values*, a slice for each index.

    Indices are in order and none comes twice.
    """

    place: int
    indices: Tensor
    values: Tensor


class SparseLaunch(ABC):
    """A launch of rows whose gradients are sparse in their first dimension."""

    def __init__(self, plan: Plan, rows: Sequence[Row]) -> None:
        plan.check_sparse()
        self.plan, self.rows = plan, list(rows)
        self._forms = self._forms_now()
        self._taken: list[Touched] = []

    def _forms_now(self) -> list:
        return [(row.parameter.dtype, row.parameter.stride()) for row in self.rows]

    @abstractmethod
    def set_hypers(self, hypers: Sequence[Sequence[float]]) -> None:
        """Set the hyperparameters: for each group a list in the order of the rule."""

    def take(self) -> bool:
        """Accept the gradients that the parameters hold now; whether every one holds a gradient.

        The gradients themselves are not changed: entries of one row are added in a copy.
        """
        if self._forms_now() != self._forms:
            raise LayoutChanged
        pairs = [(place, row.parameter.grad) for place, row in enumerate(self.rows)]
        self._taken = [self._touched(place, g) for place, g in pairs if g is not None]
        return len(self._taken) == len(self.rows)

    def _touched(self, place: int, g: Tensor) -> Touched:
        row = self.rows[place]
        if not row.names_rows:
            raise LayoutChanged
        row.check_gradient(g)
        g = g.detach().coalesce()
        return Touched(place, g._indices()[0], g._values())

    @torch.no_grad()
    def run(self) -> None:
        """Update the rows whose gradients were taken."""
        taken, self._taken = self._taken, []
        for each in taken:
            self._update(each)

    @abstractmethod
    def _update(self, touched: Touched) -> None:
        """Update the rows of one parameter that its gradient touched."""


class SparseCpuLaunch(SparseLaunch):
    """Runs the compiled kernel of a rule where the touched rows lie, one line of its table each.

    The first line stands for the parameter: it has no elements, but the clock, the scalars and the
    host values that the lines after it share.
    """

    def __init__(self, plan: Plan, rows: Sequence[Row]) -> None:
        super().__init__(plan, rows)
        self._dtype = self.rows[0].parameter.dtype
        self._code = compiled(plan, DTYPES[self._dtype])
        self._held = storage_of_state(self.rows)
        self._heads = np.zeros((len(self.rows), self._code.columns), np.int64)
        for head, row in zip(self._heads, self.rows, strict=True):
            describe(head, row)

    def set_hypers(self, hypers: Sequence[Sequence[float]]) -> None:
        """Set the hyperparameters: for each group a list in the order of the rule."""
        self._hypers = np.array(hypers, np.float64)

    def _update(self, touched: Touched) -> None:
        values = touched.values.to(self._dtype).contiguous().resolve_neg()
        table = self._table(touched)
        gradients = np.arange(-1, len(values)) * _row_bytes(values) + values.data_ptr()
        gradients[0] = NOWHERE
        stored, partials = np.zeros(len(self.plan.stored)), np.zeros(0)
        arrays = (table, gradients, self._hypers, stored, partials)
        control = control_block(self._code, arrays, 1, int(table[-1, layout.END_CHUNK]))
        if values.numel() >= layout.PARALLEL_FROM:
            control[layout.THREADS] = threads_available()
        self._code.launch(control.ctypes.data)

    def _table(self, touched: Touched) -> np.ndarray:
        """Return the line of the parameter, then one for each touched row."""
        p = self.rows[touched.place].parameter
        width = p[:1].numel()
        indices = touched.indices.numpy()
        table = np.empty((1 + len(indices), self._code.columns), np.int64)
        table[:] = self._heads[touched.place]
        table[:, layout.END_CHUNK] = np.arange(len(table)) * -(-width // layout.CHUNK)
        rest = table[1:]
        rest[:, layout.FIRST_CHUNK] = table[:-1, layout.END_CHUNK]
        rest[:, layout.LENGTH] = width
        arrays = slice(layout.PARAMETER, layout.SLOTS + len(self.plan.slots))
        rest[:, arrays] += (indices * _row_bytes(p))[:, None]
        return table


def _row_bytes(tensor: Tensor) -> int:
    return tensor[:1].nbytes


class SparseEagerLaunch(SparseLaunch):
    """Gathers the touched rows, runs the eager engine on them and puts them back."""

    def __init__(self, plan: Plan, rows: Sequence[Row]) -> None:
        super().__init__(plan, rows)
        self._engine = EagerLaunch(plan, self.rows)

    def set_hypers(self, hypers: Sequence[Sequence[float]]) -> None:
        """Set the hyperparameters: for each group a list in the order of the rule."""
        self._engine.set_hypers(hypers)

    def _update(self, touched: Touched) -> None:
        row = self.rows[touched.place]
        whole = (row.parameter, *row.slots)
        parts = [each.index_select(0, touched.indices) for each in whole]
        gathered = replace(row, parameter=parts[0], slots=tuple(parts[1:]))
        self._engine.update([(gathered, touched.values)])
        for tensor, part in zip(whole, parts, strict=True):
            tensor.index_copy_(0, touched.indices, part)
