"""Lanczos: an operator seen from a growing space, as a small tridiagonal matrix."""

from typing import NamedTuple, final

import torch
from torch import Tensor

from thalweg.errors import BadValue
from thalweg.landscape.operator import Operator, check_fits

_VANISHING = 1e-12


class Ritz(NamedTuple):
    """Eigenvalues of the small matrix, ascending, its eigenvectors in columns, and how far off.

    ``residuals`` are the norms of the operator times a Ritz vector less its value times it, as the
    recurrence knows them.
    """

    values: Tensor
    coefficients: Tensor
    residuals: Tensor


@final
class Lanczos:
    """The Krylov space of *operator* from *start* (size,), grown one product at a time.

    All of the recurrence is in float64, and every new direction is orthogonalized twice against all
    before it, so that no eigenvalue shows up twice. Source: Golub and Van Loan, Matrix
    computations, section 10.1. Raises BadValue where *steps* directions exceed *memory* bytes.
    """

    def __init__(self, operator: Operator, start: Tensor, steps: int, memory: float) -> None:
        steps = min(steps, operator.size)
        needed = steps * operator.size * 8
        check_fits(f"Lanczos, {steps} directions of {operator.size:,} numbers", needed, memory)
        self.operator, self.limit = operator, steps
        device = "cpu" if operator.device.type == "mps" else operator.device
        self._basis = torch.empty(steps, operator.size, dtype=torch.float64, device=device)
        self._basis[0] = start / start.norm()
        self._diagonal: list[float] = []
        self._beside: list[float] = []

    @property
    def steps(self) -> int:
        """How many products there were."""
        return len(self._diagonal)

    @property
    def closed(self) -> bool:
        """Whether the operator leads nowhere out of the space, so that all it shows is exact."""
        return bool(self._beside) and (self.steps == self.operator.size or self._beside[-1] == 0)

    @property
    def exhausted(self) -> bool:
        """Whether the space cannot grow: it is closed, or as large as was asked for."""
        return self.closed or self.steps == self.limit

    def grow(self) -> None:
        """Take one more product into the space."""
        newest = self._basis[self.steps]
        image = (self.operator @ newest).to(newest)
        size = float(image.norm())
        if not size < float("inf"):
            raise BadValue("a product is not finite; the loss has no curvature at this point.")
        self._diagonal.append(float(newest @ image))
        known = self._basis[: self.steps]
        for _ in range(2):
            image -= (known @ image) @ known
        rest = float(image.norm())
        self._beside.append(rest if rest > _VANISHING * size else 0.0)
        if not self.exhausted:
            self._basis[self.steps] = image / rest

    def ritz(self) -> Ritz:
        """Return what the space shows of the spectrum."""
        beside = torch.tensor(self._beside[:-1], dtype=torch.float64)
        small = torch.diag(torch.tensor(self._diagonal, dtype=torch.float64))
        small += torch.diag(beside, 1) + torch.diag(beside, -1)
        values, coefficients = torch.linalg.eigh(small)
        return Ritz(values, coefficients, self._beside[-1] * coefficients[-1].abs())

    def vector(self, coefficients: Tensor) -> Tensor:
        """Return the unit vector (size,) with these coefficients along the directions."""
        found = coefficients.to(self._basis) @ self._basis[: self.steps]
        return found / found.norm()
