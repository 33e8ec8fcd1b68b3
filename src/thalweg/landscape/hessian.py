"""The Hessian of a loss, multiplied without being written out."""

from functools import partial
from typing import final

import torch
from torch import Tensor

from thalweg.landscape.graphs import Graphs, again, check_recorded, second_derivative
from thalweg.landscape.objective import Objective, Term, loss_of, sum_of
from thalweg.landscape.operator import Operator


@final
class Hessian(Operator):
    """The second derivatives of an objective at *point*, where the model stood unless given.

    The gradient is recorded once, and each product differentiates the record (Pearlmutter, Fast
    exact multiplication by the Hessian, 1994); see `graphs` for when the record is kept. Raises
    BadValue for a loss that cannot be differentiated twice, naming the operation.
    """

    def __init__(self, objective: Objective, point: Tensor | None = None) -> None:
        self.objective, self.point = objective, objective.at(point)
        self.size, self.dtype = objective.size, self.point.dtype
        self.device = self.point.device
        self._graphs = Graphs([partial(self._recorded, term) for term in objective.terms])

    def _recorded(self, term: Term) -> "_Recorded":
        return _Recorded(term, self.objective, self.point)

    def product(self, vector: Tensor) -> Tensor:
        """Return the product with *vector* (size,)."""
        return sum_of(each.product(vector) for each in self._graphs)

    def gradient(self) -> Tensor:
        """Return the gradient (size,) of the objective at the same point."""
        return self.objective.gradient(self.point)


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
