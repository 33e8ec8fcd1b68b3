"""A symmetric matrix known by its products: multiply, look at it in SciPy, or write it out."""

from abc import ABC, abstractmethod
from typing import Any, final

import torch
from torch import Tensor

from thalweg.errors import BadType, BadValue

GIBIBYTE = 2**30


class Operator(ABC):
    """A symmetric matrix (size, size) that is known by its products with vectors.

    ``dtype`` and ``device`` are those of the products; a factor may have others.
    """

    size: int
    dtype: torch.dtype
    device: torch.device

    @abstractmethod
    def product(self, vector: Tensor) -> Tensor:
        """Return the product with *vector* (size,), which has this operator's dtype and device."""

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        return self.size, self.size

    def __matmul__(self, other: Tensor) -> Tensor:
        """Return the product with a vector (size,) or the columns of a matrix (size, k).

        Raises BadType and BadValue for what has another form.
        """
        if not isinstance(other, Tensor):
            raise BadType(f"a product with a {type(other).__name__}; expected a tensor.")
        if other.ndim not in (1, 2) or len(other) != self.size:
            raise BadValue(
                f"a product with a tensor of shape {tuple(other.shape)}; expected ({self.size},), "
                f"or ({self.size}, k) for k vectors."
            )
        other = other.detach().to(self.device, self.dtype)
        if other.ndim == 1:
            return self.product(other.contiguous())
        columns = [self.product(column.contiguous()) for column in other.T]
        return torch.stack(columns, 1) if columns else torch.empty_like(other)

    def dense(self, memory: float = GIBIBYTE) -> Tensor:
        """Return the matrix (size, size), one product for each column, made exactly symmetric.

        Raises BadValue where it would take more than *memory* bytes.
        """
        check_fits(
            f"the dense matrix of {self.size:,} x {self.size:,} numbers, of {self.size:,} products",
            2 * self.size**2 * self.dtype.itemsize,
            memory,
        )
        matrix = torch.empty(self.shape, dtype=self.dtype, device=self.device)
        axis = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        for column in range(self.size):
            axis[column] = 1
            matrix[column] = self.product(axis)
            axis[column] = 0
        return (matrix + matrix.T) / 2

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse.linalg.LinearOperator`` with these products."""
        from scipy.sparse.linalg import LinearOperator

        def multiply(array: Any) -> Any:
            return (self @ torch.as_tensor(array)).cpu().numpy()

        kind = str(self.dtype).removeprefix("torch.")
        return LinearOperator(
            self.shape, matvec=multiply, rmatvec=multiply, matmat=multiply, rmatmat=multiply,
            dtype=kind,
        )  # fmt: skip


@final
class Matrix(Operator):
    """A symmetric matrix that is written out, as an operator."""

    def __init__(self, matrix: Tensor) -> None:
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise BadValue(f"a matrix of shape {tuple(matrix.shape)}; expected a square one.")
        if not torch.allclose(matrix, matrix.T):
            raise BadValue("the matrix is not symmetric; (matrix + matrix.T) / 2 is.")
        self.matrix, self.size = matrix.detach(), len(matrix)
        self.dtype, self.device = matrix.dtype, matrix.device

    def product(self, vector: Tensor) -> Tensor:
        """Return the product with *vector* (size,)."""
        return self.matrix @ vector


def check_fits(what: str, needed: float, memory: float) -> None:
    """Raise BadValue unless *needed* bytes fit into *memory*, both told in the error."""
    if needed > memory:
        raise BadValue(
            f"{what}, needs {needed / GIBIBYTE:,.1f} GiB, more than the {memory / GIBIBYTE:,.1f} "
            f"GiB allowed. Ask for less, or allow it: memory={needed:,.0f}."
        )
