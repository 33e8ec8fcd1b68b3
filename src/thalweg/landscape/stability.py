"""The largest learning rate at which steps do not grow: curvature times rate below a known edge."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.optim import Optimizer

from thalweg.arguments import check_number
from thalweg.errors import BadType, BadValue
from thalweg.landscape.extremes import Eigenpair, extremes
from thalweg.landscape.gauss_newton import GaussNewton
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.running import Running
from thalweg.landscape.scaled import SWINGING, Scaled

_EDGE = 2.0


def stable_limit(
    curvature: float, *, momentum: float = 0.0, dampening: float = 0.0, nesterov: bool = False
) -> float:
    """Return the learning rate beyond which steps along this *curvature* grow.

    The names are those of torch's SGD; an exponential mean of gradients is ``dampening=momentum``,
    as in Adam on the preconditioned Hessian. Infinite where nothing curves upwards. Raises BadType
    and BadValue for what is no number or out of range.
    """
    check_number("curvature", curvature)
    check_number("momentum", momentum, 0, 1)
    check_number("dampening", dampening, 0, 1)
    direct, through = (1.0, momentum) if nesterov else (0.0, 1.0)
    gain = direct + through * (1 - dampening) / (1 + momentum)
    return _EDGE / (curvature * gain) if curvature > 0 else math.inf


@final
@dataclass(frozen=True, eq=False)
class StableRate:
    """The interval that holds the largest stable learning rate, of the first group.

    The rates of other groups are taken to keep their ratios to it. ``current`` is the rate now, and
    ``step`` the largest eigenvalue of what a step at this rate does to a swinging parameter: steps
    grow where it exceeds 2. ``rule`` names the optimizer's rule.
    """

    low: float
    high: float
    current: float
    step: Eigenpair
    rule: str

    @property
    def stable(self) -> bool | None:
        """Whether the current rate is stable; None inside the interval, where it is not known."""
        if self.current < self.low:
            return True
        return False if self.current > self.high else None


def stable_rate(
    curvature: Hessian | GaussNewton, optimizer: Optimizer, *, products: int = 30, seed: int = 0
) -> StableRate:
    """Return the largest stable learning rate of a running *optimizer*, at its state now.

    Steps that grow swing: their sign turns each time. What a rule makes of a swinging gradient is
    read off its equation, and so for SGD the limit is 2 over the largest curvature, for momentum
    2 (1 + momentum) over it, for Nesterov that over (1 + 2 momentum), for Adam with beta1 = .9 38
    over the largest preconditioned curvature, and for every other rule what it is. Decay is part
    of the step. Directions of negative curvature, in which any descent grows, do not count.

    The optimizer is one of torch.optim or thalweg's and is only read. Raises as `Running` does, and
    BadValue for a learning rate of zero.
    """
    running = Running(optimizer, curvature.objective)
    gain, shift = _gains(running)
    scaled = Scaled(curvature, torch.sqrt(gain), shift)
    found = extremes(scaled, largest=1, smallest=0, products=products, seed=seed)
    (top,) = found.largest
    low, high = (_EDGE / value if value > 0 else math.inf for value in reversed(top.interval))
    rate = running.rate
    return StableRate(rate * low, rate * high, rate, top, running.rule)


def _gains(running: Running) -> tuple[Tensor, Tensor]:
    """Return what a step makes of a swinging gradient and of the parameter, at the rate now."""
    gain, twice = (running.gradient_gain(SWINGING, times=k) for k in (1, 2))
    shift, shift_twice = (running.parameter_gain(SWINGING, times=k) for k in (1, 2))
    if not gain.any():
        raise BadValue(
            "no parameter moves: the learning rate is zero now, or no coordinate has a divisor "
            "above eps. Ask after a step at a positive rate."
        )
    if bool((gain < 0).any()):
        raise BadValue("the optimizer climbs (maximize=True); turn the sign of the loss instead.")
    for once, other in ((gain, twice), (shift, shift_twice)):
        if not torch.allclose(other, 2 * once, rtol=1e-6, atol=0):
            raise BadType(
                f"steps of {running.rule} are not in proportion to the learning rate, so no single "
                "limit follows from the curvature now."
            )
    return gain, torch.where(gain > 0, shift, 0)
