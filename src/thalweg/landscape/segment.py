"""Along a straight line between two sets of weights: is the loss convex, and is there a barrier?"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from thalweg.arguments import check_count
from thalweg.errors import BadValue
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.objective import Objective


@final
@dataclass(frozen=True, eq=False)
class Segment:
    """What was found at some places (points,) from 0, the one end, to 1, the other.

    ``curvatures`` are second derivatives per unit of length along the line. ``barrier`` is how far
    the loss rises above the straight line between its values at the ends, at most, or 0.
    """

    places: Tensor
    losses: Tensor
    curvatures: Tensor
    barrier: float
    tolerance: float

    @property
    def convex(self) -> bool:
        """Whether no curvature found is negative, by more than rounding."""
        return bool(self.curvatures.min() >= -self.tolerance)

    @property
    def concave(self) -> Tensor:
        """The places where the curvature is negative."""
        return self.places[self.curvatures < -self.tolerance]


def segment(objective: Objective, begin: Tensor, end: Tensor, points: int = 21) -> Segment:
    """Look at *points* places, evenly spaced, between the vectors *begin* and *end* (size,).

    Costs one product at each. Between the places nothing is known. Raises BadValue where the two
    ends are the same.
    """
    check_count("points", points, 2)
    first, last = objective.at(begin), objective.at(end)
    length = float((last - first).norm())
    if not length:
        raise BadValue("begin and end are the same point; there is no segment between them.")
    places = torch.linspace(0, 1, points, dtype=torch.float64)
    steps = [first + float(place) * (last - first) for place in places]
    direction = (last - first) / length
    curvatures = [float(direction @ (Hessian(objective, step) @ direction)) for step in steps]
    losses = torch.tensor([objective(step) for step in steps], dtype=torch.float64)
    found = torch.tensor(curvatures, dtype=torch.float64)
    chord = losses[0] + places * (losses[-1] - losses[0])
    rounding = 100 * torch.finfo(first.dtype).eps * float(found.abs().max())
    return Segment(places, losses, found, max(0.0, float((losses - chord).max())), rounding)
