"""The generalized Gauss-Newton matrix: the loss keeps its curvature, the model is made linear."""

from typing import Any, final

import torch
from torch import Tensor

from thalweg.errors import BadType
from thalweg.landscape.curvature import Curvature
from thalweg.landscape.graphs import again, check_recorded, second_derivative
from thalweg.landscape.objective import Objective, Term, check_loss


@final
class GaussNewton(Curvature):
    """J' L J, with J the Jacobian of the outputs and L the Hessian of the loss at the outputs.

    Never negative where the loss is convex in the outputs, as squared error and cross-entropy are;
    for these it is the Fisher information too. Source: Schraudolph, Fast curvature matrix-vector
    products, 2002. Raises BadType for outputs that are no tensor, and for a plain function given
    without a loss of its own.
    """

    def _recorded(self, term: Term) -> "_Recorded":
        return _Recorded(term, self.objective, self.point)


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
