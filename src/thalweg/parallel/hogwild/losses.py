"""What a linear model pays for one example, and the slope of that price.

Each is a plain function of the model's output *z* and the target *y*; compiled loops contain its
text. Classes are -1 and 1.
"""

import math
from collections.abc import Callable

Loss = Callable[[float, float], tuple[float, float]]


def log_loss(z: float, y: float) -> tuple[float, float]:
    """Return log(1 + exp(-yz)) and its derivative by z; no exponent overflows."""
    margin = y * z
    small = math.exp(-abs(margin))
    share = small if margin > 0.0 else 1.0
    return math.log1p(small) + max(-margin, 0.0), -y * share / (1.0 + small)


def hinge(z: float, y: float) -> tuple[float, float]:
    """Return max(0, 1 - yz) and a subgradient."""
    short = 1.0 - y * z
    return max(short, 0.0), -y if short > 0.0 else 0.0


def squared_error(z: float, y: float) -> tuple[float, float]:
    """Return half the squared difference, and the difference."""
    return 0.5 * (z - y) * (z - y), z - y


LOSSES: dict[str, Loss] = {each.__name__: each for each in (log_loss, hinge, squared_error)}

CURVATURE = {"log_loss": 0.25, "hinge": 1.0, "squared_error": 1.0}
"""The largest second derivative; a hinge has none, and is taken to bend as the square does."""
