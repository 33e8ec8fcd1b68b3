"""Runs compiled CPU kernels over a table of rows."""

import struct
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from thalweg.kernels import layout
from thalweg.kernels.cpu import compiled, control_words
from thalweg.kernels.openmp import parallel_entry, threads_available
from thalweg.kernels.plan import Plan
from thalweg.kernels.table import Row

DTYPES = {torch.float32: "float32", torch.float64: "float64"}

_STRIDED = torch.strided


def can_run(row: Row) -> bool:
    """Whether the compiled engine takes *row*: on the CPU, one dtype, dense and alike in memory."""
    arrays = (row.parameter, *row.slots)
    return all(
        each.dtype == row.parameter.dtype
        and each.dtype in DTYPES
        and each.device.type == "cpu"
        and each.layout == torch.strided
        and same_memory_order(each, row.parameter)
        for each in arrays
    ) and all(each.dtype == torch.float32 and each.device.type == "cpu" for each in
              (row.step, *row.scalars))  # fmt: skip


def same_memory_order(tensor: Tensor, model: Tensor) -> bool:
    """Whether element k in memory is the same element in both, with no gaps between elements."""
    if tensor.is_contiguous() and model.is_contiguous():
        return tensor.shape == model.shape
    if tensor.shape != model.shape or tensor.stride() != model.stride():
        return False
    return torch.ops.aten.is_non_overlapping_and_dense(tensor)


class CpuLaunch:
    """Updates the rows of one plan and dtype by one call into machine code.

    Memory beyond the state: a few integers per row, and one partial sum per chunk of elements
    where the plan sums.
    """

    def __init__(self, plan: Plan, rows: Sequence[Row]) -> None:
        self.plan, self.rows = plan, list(rows)
        self.dtype = self.rows[0].parameter.dtype
        code = compiled(plan, DTYPES[self.dtype])
        self._call = code.launch
        self._lay_out(code)
        self._pack = struct.Struct(f"{len(self.rows)}q").pack_into
        self._written: Sequence | None = None
        self._taken: Sequence[Tensor | None] = ()
        self._plain = all(row.parameter.is_contiguous() for row in self.rows)
        self._parallel = sum(row.parameter.numel() for row in self.rows) >= layout.PARALLEL_FROM

    def _lay_out(self, code) -> None:
        counts = [-(-row.parameter.numel() // layout.CHUNK) for row in self.rows]
        ends = list(accumulate(counts))
        self._table = np.zeros((len(self.rows), code.columns), np.int64)
        for line, row, count, end in zip(self._table, self.rows, counts, ends, strict=True):
            line[layout.LENGTH] = row.parameter.numel()
            line[layout.FIRST_CHUNK], line[layout.END_CHUNK] = end - count, end
            line[layout.GROUP], line[layout.STEP] = row.group, row.step.data_ptr()
            line[layout.PARAMETER] = row.parameter.data_ptr()
            line[layout.SLOTS :] = [each.data_ptr() for each in (*row.slots, *row.scalars)]
        groups = 1 + max(row.group for row in self.rows)
        widest = max(map(len, self.plan.sums), default=0)
        self._gradients = np.zeros(len(self.rows), np.int64)
        self._hypers = np.zeros((groups, len(self.plan.rule.hyperparameters)))
        self._stored = np.zeros((len(self.rows), len(self.plan.stored)))
        self._partials = np.zeros(ends[-1] * widest)
        self._control = np.array(control_words(code), np.int64)
        self._control[layout.ROWS], self._control[layout.CHUNKS] = len(self.rows), ends[-1]
        arrays = (self._table, self._gradients, self._hypers, self._stored, self._partials)
        for word, array in zip(range(layout.TABLE, layout.PARTIALS + 1), arrays, strict=True):
            self._control[word] = array.ctypes.data
        self._control[layout.PARALLEL], self._control[layout.THREADS] = parallel_entry(), 1
        self._control_address = int(self._control.ctypes.data)

    def take(self, gradients: Sequence[Tensor | None]) -> None:
        """Accept one gradient per row, or None to pass over the row."""
        dtype, plain = self.dtype, self._plain
        kept = [
            g
            if g is not None and plain and g.dtype is dtype and g.layout is _STRIDED
            and g.is_contiguous()
            else self._aligned(row, g)
            for row, g in zip(self.rows, gradients, strict=True)
        ]  # fmt: skip
        self._pack(self._gradients, 0, *[0 if g is None else g.data_ptr() or 1 for g in kept])
        self._taken = kept

    def _aligned(self, row: Row, g: Tensor | None) -> Tensor | None:
        """Return *g* in the dtype and memory order of the row's parameter, copied if need be."""
        if g is None:
            return None
        row.check_gradient(g)
        if g.dtype == self.dtype and same_memory_order(g, row.parameter):
            return g
        return torch.empty_like(row.parameter, requires_grad=False).copy_(g.detach())

    def run(self, hypers: Sequence[Sequence[float]]) -> None:
        """Update the rows whose gradients were taken."""
        if hypers is not self._written:
            self._hypers[:] = hypers
            self._written = hypers
        if self._parallel:
            self._control[layout.THREADS] = threads_available()
        self._call(self._control_address)
        self._taken = ()
