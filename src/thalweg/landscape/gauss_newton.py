"""The generalized Gauss-Newton matrix: the loss keeps its curvature, the model is made linear."""

from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from thalweg.errors import BadType
from thalweg.landscape.graphs import Graphs, again, check_recorded, second_derivative
from thalweg.landscape.objective import Objective, Term, check_loss, sum_of
from thalweg.landscape.operator import Operator


@final
class GaussNewton(Operator):
    """J' L J, with J the Jacobian of the outputs and L the Hessian of the loss at the outputs.

    Never negative where the loss is convex in the outputs, as squared error and cross-entropy are;
    for these it is the Fisher information too. Source: Schraudolph, Fast curvature matrix-vector
    products, 2002. Raises BadType for outputs that are no tensor, and for a plain function given
    without a loss of its own.
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
    """The outputs of one term, and the gradient of its loss by them, with their graphs."""

    def __init__(self, term: Term, objective: Objective, point: Tensor) -> None:
        self.weight = term.weight
        self.place = point.clone().requires_grad_()
        with second_derivative():
            self.output = _tensor(term.output(objective.layout.split(self.place)))
            self.outer = self.output.detach().requires_grad_()
            loss = term.loss(self.outer)
            check_loss(loss)
            (self.slope,) = torch.autograd.grad(loss, self.outer, create_graph=True)
            self.dual = torch.zeros_like(self.output, requires_grad=True)
            (self.pulled,) = torch.autograd.grad(
                self.output, self.place, self.dual, create_graph=True
            )
        check_recorded(self.output, self.pulled)
        check_recorded(loss, self.slope)

    def product(self, vector: Tensor) -> Tensor:
        with second_derivative():
            pushed = again(self.pulled, self.dual, vector)
            return self.weight * again(
                self.output, self.place, again(self.slope, self.outer, pushed)
            )


def _tensor(output: Any) -> Tensor:
    if not isinstance(output, Tensor) or output.shape == ():
        shown = "one number" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise BadType(
            f"the output is {shown}; the Gauss-Newton matrix needs a tensor of outputs with the "
            "loss apart. For a plain function, give function(inner, point, loss=...)."
        )
    return output
