"""The Hessian of a loss, multiplied without being written out."""

from typing import final

import torch
from torch import Tensor

from thalweg.landscape.curvature import Curvature
from thalweg.landscape.graphs import again, check_recorded, second_derivative
from thalweg.landscape.objective import Objective, Term, loss_of


@final
class Hessian(Curvature):
    """The second derivatives of an objective at *point*, where the model stood unless given.

    The gradient is recorded once, and each product differentiates the record (Pearlmutter, Fast
    exact multiplication by the Hessian, 1994); see `graphs` for when the record is kept. Raises
    BadValue for a loss that cannot be differentiated twice, naming the operation.
    """

    def _recorded(self, term: Term) -> "_Recorded":
        return _Recorded(term, self.objective, self.point)


@final
class _Recorded:
    """The gradient of one term with the graph that made it."""

    def __init__(self, term: Term, objective: Objective, point: Tensor) -> None:
        self.weight = term.weight
        self.place = point.clone().requires_grad_()
        with second_derivative():
            loss = loss_of(term, objective.layout.split(self.place))
            (self.gradient,) = torch.autograd.grad(loss, self.place, create_graph=True)
        check_recorded(loss, self.gradient)

    def product(self, vector: Tensor) -> Tensor:
        with second_derivative():
            return self.weight * again(self.gradient, self.place, vector)
