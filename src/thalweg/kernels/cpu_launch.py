"""Runs compiled CPU kernels over a table of rows."""

import struct
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from thalweg.kernels import layout
from thalweg.kernels.cpu import compiled, control_block, converts_float16
from thalweg.kernels.openmp import threads_available
from thalweg.kernels.plan import Plan
from thalweg.kernels.table import LayoutChanged, Row

DTYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.bfloat16: "bfloat16",
    **({torch.float16: "float16"} if converts_float16() else {}),
}  # fmt: skip

NOWHERE = 1  # the address of an empty gradient: it counts as a gradient and is never read


def can_run(row: Row) -> bool:
    """Whether the compiled engine takes *row*: on the CPU, one dtype, dense and alike in memory."""
    arrays = (row.parameter, *row.slots)
    return all(
        each.dtype == row.parameter.dtype
        and each.dtype in DTYPES
        and each.device.type == "cpu"
        and each.layout == torch.strided
        and _has_memory(each)
        and same_memory_order(each, row.parameter)
        for each in arrays
    ) and all(each.dtype == torch.float32 and each.device.type == "cpu" for each in
              (row.step, *row.scalars))  # fmt: skip


def _has_memory(tensor: Tensor) -> bool:
    """Whether the numbers lie where the tensor says: not so for wrappers such as DTensor."""
    if is_traceable_wrapper_subclass(tensor) or isinstance(tensor, FakeTensor):
        return False
    return tensor.numel() == 0 or tensor.data_ptr() != 0


def same_memory_order(tensor: Tensor, model: Tensor) -> bool:
    """Whether element k in memory is the same element in both, with no gaps between elements."""
    if tensor.is_contiguous() and model.is_contiguous():
        return tensor.shape == model.shape
    if tensor.shape != model.shape or tensor.stride() != model.stride():
        return False
    return torch.ops.aten.is_non_overlapping_and_dense(tensor)


def storage_of_state(rows: Sequence[Row]) -> list[torch.UntypedStorage]:
    """Return what keeps the addresses of the state valid for as long as it is held."""
    return [each.untyped_storage() for row in rows for each in (row.step, *row.slots, *row.scalars)]


def describe(line: np.ndarray, row: Row) -> None:
    """Write into a line of a table what does not depend on how many elements it has."""
    line[layout.GROUP], line[layout.STEP] = row.group, row.step.data_ptr()
    line[layout.INDEX], line[layout.PARAMETER] = row.index, row.parameter.data_ptr()
    line[layout.SLOTS :] = [each.data_ptr() for each in (*row.slots, *row.scalars)]


def _is_negated(p: Tensor) -> bool:
    """Whether the gradient's memory holds the opposite sign, as parts of complex numbers may.

    Of the gradients that torch lays out densely only those of one element can be such a view.
    """
    return p.grad is not None and p.grad.is_neg()


class CpuLaunch:
    """Updates the rows of one plan and dtype by one call into machine code.

    Memory beyond the state: a few integers per row, and one partial sum per chunk of elements
    where the plan sums. The storage of the state is held, so that its addresses stay valid.
    """

    def __init__(self, plan: Plan, rows: Sequence[Row]) -> None:
        self.plan, self.rows = plan, list(rows)
        self.dtype = self.rows[0].parameter.dtype
        self._code = compiled(plan, DTYPES[self.dtype])
        self._call = self._code.launch
        self._pack = struct.Struct(f"{len(self.rows)}q").pack_into
        self._parameters = [row.parameter for row in self.rows]
        self._taken: Sequence[Tensor | None] = ()
        self._held = storage_of_state(self.rows)
        self._hypers = np.zeros(
            (1 + max(row.group for row in self.rows), len(self.plan.rule.hyperparameters))
        )
        self._lay_out()

    def _lay_out(self) -> None:
        """Write the table and the control block for the parameters as they are now."""
        self._sizes = [p.nbytes for p in self._parameters]
        self._forms = [(p.dtype, p.stride()) for p in self._parameters]
        self._trusted = False
        self._singles = [p for p in self._parameters if p.numel() == 1]
        self._plain = all(
            p.is_contiguous()
            and p.numel()
            and p.is_leaf
            and getattr(p, "grad_dtype", p.dtype) is p.dtype
            for p in self._parameters
        )
        self._parallel = sum(p.numel() for p in self._parameters) >= layout.PARALLEL_FROM
        code = self._code
        counts = [-(-row.parameter.numel() // layout.CHUNK) for row in self.rows]
        ends = list(accumulate(counts))
        self._table = np.zeros((len(self.rows), code.columns), np.int64)
        for line, row, count, end in zip(self._table, self.rows, counts, ends, strict=True):
            describe(line, row)
            line[layout.LENGTH] = row.parameter.numel()
            line[layout.FIRST_CHUNK], line[layout.END_CHUNK] = end - count, end
        widest = max(map(len, self.plan.sums), default=0)
        self._gradients = bytearray(8 * len(self.rows))
        self._stored = np.zeros((len(self.rows), len(self.plan.stored)))
        self._partials = np.zeros(ends[-1] * widest)
        gradients = np.frombuffer(self._gradients, np.int64)
        arrays = (self._table, gradients, self._hypers, self._stored, self._partials)
        self._control = control_block(code, arrays, len(self.rows), ends[-1])
        self._control_address = int(self._control.ctypes.data)

    def set_hypers(self, hypers: Sequence[Sequence[float]]) -> None:
        """Set the hyperparameters: for each group a list in the order of the rule."""
        self._hypers[:] = hypers[: len(self._hypers)]

    def take(self) -> bool:
        """Accept the gradients that the parameters hold now; whether every one holds a gradient.

        The usual case, all there, dense and of the size in bytes that dtype and shape imply,
        takes the short way, on which whatever is unusual fails.
        """
        if not self._trusted or (self._singles and any(map(_is_negated, self._singles))):
            self._trusted = self._plain
            return self._take_one_by_one()
        try:
            found = [
                g.data_ptr()  # type: ignore[union-attr]
                for p, size in zip(self._parameters, self._sizes)  # noqa: B905 (a hot loop)
                if (g := p.grad).nbytes == size and g.is_contiguous()  # type: ignore[union-attr]
            ]
            self._pack(self._gradients, 0, *found)
        except (AttributeError, RuntimeError, struct.error):
            return self._take_one_by_one()
        return True

    def take_at(self, addresses: np.ndarray) -> None:
        """Accept gradients that lie at these addresses, one for each row, as the parameters do."""
        np.frombuffer(self._gradients, np.int64)[:] = addresses

    def _take_one_by_one(self) -> bool:
        if [(p.dtype, p.stride()) for p in self._parameters] != self._forms:
            for row in self.rows:
                row.check_state()
            raise LayoutChanged
        if [p.nbytes for p in self._parameters] != self._sizes:
            self._lay_out()
        pairs = [(row, row.parameter.grad) for row in self.rows]
        self._taken = kept = [None if g is None else self._aligned(row, g) for row, g in pairs]
        addresses = [(g.data_ptr() or NOWHERE) if g is not None else 0 for g in kept]
        self._pack(self._gradients, 0, *addresses)
        return 0 not in addresses

    def _aligned(self, row: Row, g: Tensor) -> Tensor:
        """Return *g* in the dtype and memory order of the row's parameter, copied if need be."""
        if row.names_rows:
            raise LayoutChanged
        row.check_gradient(g)
        g = g.resolve_neg()
        if g.dtype == self.dtype and same_memory_order(g, row.parameter):
            return g
        return torch.empty_like(row.parameter, requires_grad=False).copy_(g.detach())

    def run(self) -> None:
        """Update the rows whose gradients were taken."""
        if self._parallel:
            self._control[layout.THREADS] = threads_available()
        self._call(self._control_address)
        self._taken = ()
