"""What kind of place this is: minimum, maximum, saddle, plateau or none, with the evidence."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import torch

from thalweg.arguments import check_number
from thalweg.errors import BadValue
from thalweg.landscape.extremes import Eigenpair, Extremes, extremes
from thalweg.landscape.hessian import Hessian

Kind: TypeAlias = Literal["minimum", "maximum", "saddle", "plateau", "not critical"]


@final
@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """The kind of a place, and all that it was judged by.

    ``distance`` is the gradient's norm over the largest curvature: no point is nearer where the
    gradient could be zero, if the curvature stays as it is. ``index`` is how many curvatures are
    negative, by more than ``zero``; where ``exact`` is false there are at least so many.
    ``degenerate`` says that some direction is flat, so that second derivatives leave open what the
    loss does along it. ``radius`` is the length of a move that was looked at.
    """

    kind: Kind
    loss: float
    gradient_norm: float
    distance: float
    largest: Eigenpair
    smallest: Eigenpair
    index: int
    exact: bool
    degenerate: bool
    zero: float
    radius: float
    products: int


def critical_point(
    hessian: Hessian, *, radius: float | None = None, tolerance: float = 0.01, products: int = 60
) -> CriticalPoint:
    """Return what kind of point the Hessian was taken at.

    It is critical if a point where the gradient is zero may lie within *tolerance* of *radius*, and
    then the signs of the spectrum decide. It is a plateau if there is no curvature to tell, or if a
    move by *radius* would change the loss by less than *tolerance* of its value, to second order. A
    curvature counts as zero within its residual or the rounding of the loss: a minimum with flat
    directions is ``degenerate``. *radius* is a tenth of the norm of the parameters unless given,
    at least 0.1.
    """
    check_number("tolerance", tolerance, 0)
    if radius is None:
        radius = max(0.1, 0.1 * float(hessian.point.norm()))
    check_number("radius", radius, 0)
    if not radius:
        raise BadValue("radius=0; expected how long a move to look at, above zero.")
    ends = extremes(hessian, products=products, tolerance=1e-4)
    loss, slope = hessian.objective(hessian.point), float(hessian.gradient().norm())
    top, bottom = ends.largest[0], ends.smallest[0]
    scale = max(abs(top.value), abs(bottom.value))
    zero = max(top.residual, bottom.residual, _rounding(hessian, scale, loss, radius))
    index, exact = _index(hessian, ends, zero, products)
    return CriticalPoint(
        kind=_kind(
            _signs(ends, zero) if slope <= tolerance * radius * scale else None,
            radius * slope + radius**2 * scale / 2 <= tolerance * abs(loss),
        ),
        loss=loss,
        gradient_norm=slope,
        distance=slope / scale if scale else 0.0 if not slope else float("inf"),
        largest=top,
        smallest=bottom,
        index=index,
        exact=exact,
        degenerate=min(abs(top.value), abs(bottom.value)) <= zero,
        zero=zero,
        radius=radius,
        products=ends.products + exact * hessian.size,
    )


def _rounding(hessian: Hessian, scale: float, loss: float, radius: float) -> float:
    """Return the size of a curvature that rounding alone may show."""
    eps = torch.finfo(hessian.dtype).eps
    return max(eps**0.5 * scale, 2 * eps * abs(loss) / radius**2)


def _signs(ends: Extremes, zero: float) -> Kind:
    up, down = ends.largest[0].value > zero, ends.smallest[0].value < -zero
    if up and down:
        return "saddle"
    return "minimum" if up else "maximum" if down else "plateau"


def _kind(signs: Kind | None, flat: bool) -> Kind:
    return signs or ("plateau" if flat else "not critical")


def _index(hessian: Hessian, ends: Extremes, zero: float, products: int) -> tuple[int, bool]:
    """Return how many eigenvalues are negative, and whether that is all there are."""
    if hessian.size > products:
        return sum(value < -zero for value in ends.seen), False
    spectrum = torch.linalg.eigvalsh(hessian.dense().double())
    return int((spectrum < -zero).sum()), True
