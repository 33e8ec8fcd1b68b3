"""The curvature of an objective at a point: a sum over its terms, each recorded once."""

from abc import abstractmethod
from functools import partial

from torch import Tensor

from thalweg.landscape.graphs import Graph, Graphs
from thalweg.landscape.objective import Objective, Term, sum_of
from thalweg.landscape.operator import Operator


class Curvature(Operator):
    """A matrix of second derivatives at *point*, where the model stood unless given."""

    def __init__(self, objective: Objective, point: Tensor | None = None) -> None:
        self.objective, self.point = objective, objective.at(point)
        self.size, self.dtype = objective.size, self.point.dtype
        self.device = self.point.device
        self._graphs = Graphs([partial(self._recorded, term) for term in objective.terms])

    @abstractmethod
    def _recorded(self, term: Term) -> Graph:
        """Return what was recorded of a term at the point."""

    def product(self, vector: Tensor) -> Tensor:
        """Return the product with *vector* (size,)."""
        return sum_of(each.product(vector) for each in self._graphs)

    def gradient(self) -> Tensor:
        """Return the gradient (size,) of the objective at the same point."""
        return self.objective.gradient(self.point)
