"""How much sharper the sharpest direction is than an ordinary one."""

from math import inf

from thalweg.landscape.density import Density
from thalweg.landscape.estimate import Estimate
from thalweg.landscape.extremes import Extremes


def condition(ends: Extremes, spread: Density, quantile: float = 0.5) -> Estimate:
    """Return the largest curvature in size over the *quantile* of all curvatures in size.

    The smallest curvature of a network is zero to rounding, and a ratio to it says nothing. The
    median, or another quantile, is that of the directions there are. Its interval holds the
    residual of the one and all that is unknown of the other: it is open above, infinite, where the
    density cannot tell the quantile from zero.
    """
    pairs = (ends.largest[0], ends.smallest[0])
    top = max(pairs, key=lambda pair: abs(pair.value))
    low, middle, high = spread.quantile(quantile)
    size = abs(top.value)
    return Estimate(
        _ratio(size, middle),
        _ratio(max(0.0, size - top.residual), high),
        _ratio(size + top.residual, low),
        spread.confidence,
        ends.products + spread.products,
        low > 0,
    )


def _ratio(above: float, below: float) -> float:
    return above / below if below else inf
