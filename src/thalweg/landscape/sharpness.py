"""How much worse the loss can get nearby: the worst case in a ball around the weights."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadValue
from thalweg.landscape.extremes import extremes
from thalweg.landscape.hessian import Hessian


@final
@dataclass(frozen=True, eq=False)
class Sharpness:
    """The largest rise of the loss that was found within *radius*, and the move (size,) to there.

    ``rise`` is a lower bound: the worst point may be worse. ``one_step`` is the rise of a single
    step along the gradient to the rim, as sharpness-aware minimization takes it. ``curvature`` is
    the largest eigenvalue, the other measure of sharpness, and ``quadratic`` the rise that it alone
    would make, half of it times the square of the radius.
    """

    rise: float
    move: Tensor
    one_step: float
    curvature: float
    radius: float

    @property
    def quadratic(self) -> float:
        """Half the largest curvature times the radius squared."""
        return self.curvature * self.radius**2 / 2


def sharpness(hessian: Hessian, radius: float = 0.05, *, steps: int = 10) -> Sharpness:
    """Return the worst case found among all moves no longer than *radius*.

    Ascends from three beginnings, up the gradient and both ways along the sharpest direction, and
    goes *steps* times to where the gradient on the rim points. Costs ``3 * steps`` gradients beside
    Lanczos. Source: Foret et al., Sharpness-aware minimization, 2021. Raises BadValue for a radius
    that is not positive.
    """
    check_number("radius", radius, 0)
    check_count("steps", steps)
    if not radius:
        raise BadValue("radius=0; expected how far to look, above zero.")
    (top,) = extremes(hessian, smallest=0).largest
    sharpest, slope = top.vector.to(hessian.point), hessian.gradient()
    ascents = [
        _ascent(hessian, start, radius, steps)
        for start in (slope, sharpest, -sharpest)
        if start.any()
    ]
    base = hessian.objective(hessian.point)
    one_step = ascents[0][0][0] - base if slope.any() else 0.0
    loss, move = max((best for ascent in ascents for best in ascent), key=lambda best: best[0])
    if loss < base:
        return Sharpness(0.0, 0 * slope, one_step, top.value, radius)
    return Sharpness(loss - base, move, one_step, top.value, radius)


def _ascent(
    hessian: Hessian, start: Tensor, radius: float, steps: int
) -> list[tuple[float, Tensor]]:
    """Return loss and move after each step of an ascent along the rim of the ball."""
    direction, found = start, []
    for _ in range(steps):
        move = radius * direction / direction.norm()
        found.append((hessian.objective(hessian.point + move), move))
        direction = hessian.objective.gradient(hessian.point + move)
        if not direction.any():
            break
    return found
