"""An operator between two diagonals: the Hessian as an adaptive rule sees it."""

from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from thalweg.landscape.gauss_newton import GaussNewton
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.operator import Operator
from thalweg.landscape.running import Running

STEADY, SWINGING = 1.0, -1.0


@final
class Scaled(Operator):
    """``diag(scale) A diag(scale) + diag(shift)`` for an operator *A* and vectors (size,).

    ``active`` counts the coordinates whose scale is not zero.
    """

    def __init__(self, operator: Operator, scale: Tensor, shift: Tensor | None = None) -> None:
        self.operator, self.size = operator, operator.size
        self.dtype, self.device = operator.dtype, operator.device
        self.scale = scale.to(self.device, self.dtype)
        self.shift = None if shift is None else shift.to(self.device, self.dtype)

    @property
    def active(self) -> int:
        """How many coordinates take part."""
        return int((self.scale != 0).sum())

    def product(self, vector: Tensor) -> Tensor:
        """Return the product with *vector* (size,)."""
        found = self.scale * self.operator.product(self.scale * vector)
        return found if self.shift is None else found + self.shift * vector

    def gradient(self) -> Tensor:
        """Return the gradient (size,) in the same coordinates."""
        whole: Any = self.operator
        return self.scale * whole.gradient()


def preconditioned(curvature: Hessian | GaussNewton, optimizer: Optimizer) -> Scaled:
    """Return P^-1/2 H P^-1/2, with P from the state of a running *optimizer* now.

    Where a gradient stays as it is, the rule's steps come to ``lr / P`` times that gradient: P is
    (sqrt(v_hat) + eps) (1 - beta1^t) for Adam, sqrt(v) + eps for RMSprop, and 1 - momentum for SGD.
    *optimizer* is one of torch.optim or thalweg's; it is only read. See `Running` for coordinates
    that are left out, their rows and columns zero, and for what is refused. Source: Cohen et al.,
    Adaptive gradient methods at the edge of stability, 2022.
    """
    gain = Running(optimizer, curvature.objective).gradient_gain(STEADY, rate=1.0)
    return Scaled(curvature, torch.sqrt(gain.abs()))
