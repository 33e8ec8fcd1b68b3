"""A launch is a table of rows, one per parameter: what engines and drivers share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from thalweg.errors import BadType, BadValue
from thalweg.kernels.shard import Shard


@dataclass(frozen=True)
class Row:
    """One parameter of a launch.

    ``slots`` are element state tensors of the parameter's shape and ``scalars`` single numbers, in
    the order of the plan. ``step`` is a float32 tensor that counts the updates made. ``group`` is
    the index of the row's hyperparameters, ``index`` the parameter's among all of its optimizer.
    Where the tensors are the local part of distributed ones, ``shard`` says which.
    """

    parameter: Tensor
    slots: tuple[Tensor, ...]
    scalars: tuple[Tensor, ...]
    step: Tensor
    group: int
    index: int = 0
    shard: Shard | None = None

    def check_state(self) -> None:
        """Refuse state that is not shaped like the parameter."""
        p = self.parameter
        for slot in self.slots:
            if slot.shape != p.shape:
                raise BadValue(
                    f"a parameter of shape {tuple(p.shape)} has state of shape "
                    f"{tuple(slot.shape)}: it was resized after its first update. Delete its state "
                    "(del optimizer.state[p]) to begin again, or resize the state with it."
                )

    @property
    def names_rows(self) -> bool:
        """Whether the gradient is sparse: it names some rows of the parameter."""
        g = self.parameter.grad
        return g is not None and g.is_sparse

    def check_gradient(self, g: Tensor) -> None:
        """Refuse a gradient or state that does not fit the parameter, before anything changes."""
        self.check_state()
        p = self.parameter
        if g.device != p.device or g.shape != p.shape:
            raise BadValue(
                f"a parameter of shape {tuple(p.shape)} on {p.device} has a gradient of shape "
                f"{tuple(g.shape)} on {g.device}. Move both to one device, or clear the gradient "
                "with zero_grad() after moving the parameter."
            )
        if g.is_sparse:
            _check_rows(g)


def _check_rows(g: Tensor) -> None:
    """Refuse a sparse gradient that does not consist of whole rows of its parameter."""
    if g.sparse_dim() != 1:
        raise BadType(
            f"the gradient of a parameter of shape {tuple(g.shape)} is sparse in {g.sparse_dim()} "
            "dimensions; expected 1, that is whole rows, as nn.Embedding(sparse=True) has them. "
            "Convert it with to_dense(), and to_sparse(1) if most rows are zero."
        )
    if g._nnz():
        lowest, highest = (int(end) for end in torch.aminmax(g._indices()))
        if lowest < 0 or highest >= len(g):
            raise BadValue(
                f"the gradient of a parameter of shape {tuple(g.shape)} names row "
                f"{lowest if lowest < 0 else highest}; expected rows from 0 to {len(g) - 1}."
            )


class LayoutChanged(Exception):
    """Some row no longer suits the engine that took it; lay the launch out again."""


class Launch(Protocol):
    """An engine with its table: what a driver calls at every step, `take` before `run`."""

    rows: list[Row]

    def set_hypers(self, hypers: Sequence[Sequence[float]]) -> None:
        """Set the hyperparameters: for each group a list in the order of the rule."""

    def take(self) -> bool:
        """Accept the gradients that the parameters hold now; whether every one holds a gradient.

        Refuses a gradient that does not fit. Nothing is updated yet. LayoutChanged asks for new
        launches.
        """

    def run(self) -> None:
        """Update the rows whose gradients were taken."""
