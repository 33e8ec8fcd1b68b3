"""What is measured at the end of a run, on batches that were kept, with the loss as a function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Curvature:
    """Of the loss over the kept batches at the final weights, in the mode in which it trained.

    *largest* and *smallest* are the extreme eigenvalues of the Hessian, *residual* is that of the
    largest. *quantile* is the eigenvalue that nine tenths of the positive spectrum's weight lie
    above: largest / quantile is the ratio of the ravine. *stable_lr* is the largest stable
    learning rate for this optimizer, as an interval (for Adam's family from the preconditioned
    Hessian, whose largest eigenvalue is *preconditioned*). *gradient* is the gradient's norm.
    *spectrum* has eigenvalues, or points that stand for them, each with the share of all
    eigenvalues that it stands for, in ascending order.
    """

    step: int
    largest: float
    smallest: float
    residual: float
    stable_lr: tuple[float, float]
    quantile: float | None = None
    preconditioned: float | None = None
    gradient: float | None = None
    spectrum: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class LossSlice:
    """The loss over so many kept *batches* along two directions through the final weights.

    *places* say how far along; at 1 each filter has moved as far as it is long. *random* has the
    losses along a filter-normalized random direction, *downhill* along the filter-normalized
    negative gradient; it is empty where the gradient is zero.
    """

    step: int
    places: Sequence[float]
    random: Sequence[float]
    downhill: Sequence[float] = ()
    batches: int = 1


@dataclass(frozen=True)
class NoiseScale:
    """The batch size at which noise and gradient balance: tr Σ / |G|², as an interval.

    *spread* is tr Σ, the variance of one example's gradient summed over all parameters, and
    *signal* is |G|², the squared norm of the mean gradient; both are estimates without bias, so
    that the second can be negative. *seconds* is what one more example in a batch costs, None where
    only whole batches were taken.
    """

    step: int
    scale: float
    low: float
    high: float
    batch: int
    spread: float | None = None
    signal: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Mismatch:
    """A gradient that is not the slope of the loss: both, along one parameter's random direction.

    *function* is the custom ``autograd.Function`` on the way to it, "" where there is none.
    """

    parameter: str
    gradient: float
    slope: float
    function: str = ""


@dataclass(frozen=True)
class GradientCheck:
    """The gradient against finite differences in float64.

    *error* is the relative error along a random direction of all parameters; *kinked* says that
    the loss has kinks so close by that the slope cannot be told. *complete* says that there was
    time for each parameter alone, so that what is not among *mismatches* is right.
    """

    error: float
    mismatches: Sequence[Mismatch] = ()
    kinked: bool = False
    complete: bool = False


@dataclass(frozen=True)
class Neighbours:
    """How often the nearest other example has the same class, over the kept training batches.

    *agreement* is that share of *examples*; *chance* is what it would be if labels were drawn
    from their own frequencies. *told* is the share whose class a regression over all the others
    tells; *commonest*, that of the commonest class, is what it tells where it knows nothing.
    """

    examples: int
    agreement: float
    chance: float
    told: float | None = None
    commonest: float | None = None
