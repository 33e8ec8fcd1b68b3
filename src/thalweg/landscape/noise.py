"""How noisy gradients are: the noise scale, the critical batch size, and what a batch averages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadValue
from thalweg.landscape.estimate import LEAST, check_confidence, half_width
from thalweg.landscape.objective import Objective
from thalweg.landscape.operator import GIBIBYTE, Operator, check_fits


@final
@dataclass(frozen=True)
class GradientNoise:
    """The batch size at which noise and gradient balance, between *low* and *high*.

    ``scale`` is ``spread / signal``: *spread* the variance of one example's gradient, summed over
    all numbers, tr Σ, and *signal* the squared norm of the mean gradient, |G|². Both are estimates
    without bias, so that the second can be negative; the scale is infinite then. The interval is of
    two standard errors. With a curvature both are measured by it, see `gradient_noise`.
    """

    scale: float
    low: float
    high: float
    signal: float
    spread: float

    def updates(self, batch: float) -> float:
        """Return how many times the fewest possible updates a training takes at this *batch*."""
        _check_batch(batch)
        return 1 + self.scale / batch

    def examples(self, batch: float) -> float:
        """Return how many times the fewest possible examples a training takes at this *batch*."""
        _check_batch(batch)
        return 1 + batch / self.scale if self.scale else math.inf


def gradient_noise(
    objective: Objective, curvature: Operator | None = None, *, point: Tensor | None = None,
    memory: float = 4 * GIBIBYTE,
) -> GradientNoise:  # fmt: skip
    """Return the gradient noise scale tr Σ / |G|², from the gradients of the objective's batches.

    With *curvature*, its Hessian or Gauss-Newton operator at the same point, gradients are measured
    by it: tr HΣ / G'HG is the critical batch size, at which a training takes twice the fewest
    updates and twice the fewest examples. The two are the same where all directions are equally
    curved. Batches of another size than most are left out; give `objective` a small ``batch``, so
    that there are some dozens. Numerator and denominator are estimated apart, because a mean of
    ratios is biased. Source: McCandlish et al.,
    An empirical model of large-batch training, 2018, section 2.2 and appendix A.1.

    Costs a gradient of each batch, and a product with *curvature*, which is best that of an
    objective of the same data in large batches. Raises BadValue for fewer than
    four batches of one size, and where their gradients exceed *memory* bytes.
    """
    sizes = [term.examples for term in objective.terms]
    common = max(set(sizes), key=sizes.count)
    count = sizes.count(common)
    if objective.mode == "function" or count < 4:
        raise BadValue(
            f"the noise of gradients needs at least four batches of one size, got {count}; make "
            "the objective of a model with a smaller batch=, or of more data."
        )
    gradients = _gradients(objective, common, point, memory)
    images = gradients if curvature is None else _images(curvature, gradients)
    return noise_of(gradients @ images.T, common)


def noise_of(products: Tensor, examples: int) -> GradientNoise:
    """Return the noise scale from the inner products (parts, parts) of gradients.

    Each gradient is the mean over so many *examples*. The interval is the jackknife's.
    """
    every, own = products.double(), products.diagonal().double()
    count, total = len(own), every.sum()
    signal, spread = map(float, _estimates(own.sum(), total, count, examples))
    without = total - every.sum(0) - every.sum(1) + own
    rest = _estimates(own.sum() - own, without, count - 1, examples)
    errors = [float(((count - 1) * each.var(correction=0)).sqrt()) for each in rest]
    least, above = max(0.0, spread - 2 * errors[1]), signal + 2 * errors[0]
    low = (least / above if above > 0 else math.inf) if least else 0.0
    below = signal - 2 * errors[0]
    high = (spread + 2 * errors[1]) / below if below > 0 else math.inf
    scale = max(0.0, spread) / signal if signal > 0 else math.inf
    return GradientNoise(scale, low, high, signal, spread)


def _estimates(own: Tensor, every: Tensor, count: int, examples: int) -> tuple[Tensor, Tensor]:
    """Return |G|² and tr Σ, from gradients of small batches and their mean, that of a large one.

    *own* is the sum of the products of *count* gradients with themselves, *every* of all with all.
    """
    small, large = own / count, every / count**2
    signal = (count * large - small) / (count - 1)
    return signal, (small - large) / (1 / examples - 1 / (count * examples))


def _gradients(objective: Objective, examples: int, point: Tensor | None, memory: float) -> Tensor:
    """Return the gradients (batches, size) of the batches that have so many *examples*."""
    chosen = [term for term in objective.terms if term.examples == examples]
    check_fits(
        f"the gradients of {len(chosen)} batches of {objective.size:,} numbers",
        2 * 8 * len(chosen) * objective.size,
        memory,
    )
    found = [
        g.cpu().double() for term, g in objective.gradients(point) if term.examples == examples
    ]
    return torch.stack(found)


def _images(curvature: Operator, gradients: Tensor) -> Tensor:
    return torch.stack([(curvature @ each).to(each) for each in gradients])


@final
@dataclass(frozen=True, eq=False)
class BatchVariance:
    """The variance (sizes,) of the mean of *sizes* gradients around the mean of all.

    It is summed over all numbers. ``measured`` is the mean over draws, between ``low`` and
    ``high``; ``expected`` is what follows from the spread of single gradients.
    """

    sizes: tuple[int, ...]
    measured: Tensor
    low: Tensor
    high: Tensor
    expected: Tensor


def expected_variance(
    spread: float, size: int, population: int | None = None, *, replacement: bool = False
) -> float:
    """Return the variance of a mean of *size* gradients whose own variance is *spread*.

    It falls as 1 / size. Drawn without replacement from a *population* of N, and spread measured
    over it with divisor N, it falls faster, by (N - size) / (N - 1), and is zero for all of them.
    """
    check_number("spread", spread, 0)
    check_count("size", size)
    if population is None or replacement:
        return spread / size
    check_count("population", population, 2)
    check_count("size", size, 1, population)
    return spread / size * (population - size) / (population - 1)


def batch_variance(
    objective: Objective, sizes: Sequence[int], *, replacement: bool = False, draws: int = 200,
    confidence: float = 0.95, point: Tensor | None = None, seed: int = 0,
    memory: float = 4 * GIBIBYTE,
) -> BatchVariance:  # fmt: skip
    """Return how the variance of mini-batch gradients falls with the batch size, as drawn.

    The unit is a batch of the objective: made with ``batch=1``, *sizes* count examples. For each
    size, *draws* mini-batches are drawn from the seed, with replacement or, as an epoch does,
    without. Costs a gradient of each batch. Raises BadValue for sizes that cannot be drawn, batches
    of different sizes, and where the gradients exceed *memory* bytes.
    """
    check_count("draws", draws, LEAST)
    check_confidence(confidence)
    population = len(objective.terms)
    for size in sizes:
        check_count("size", size, 1, None if replacement else population)
    if population < 2 or len({term.examples for term in objective.terms}) > 1:
        raise BadValue(
            "the batches of the objective have different sizes, or there is only one; make it with "
            "batch=1, or another number that divides the examples."
        )
    gradients = _gradients(objective, objective.terms[0].examples, point, memory)
    moved = gradients - gradients.mean(0)
    products = moved @ moved.T
    generator = torch.Generator().manual_seed(seed)
    drawn = [_drawn(products, size, replacement, draws, generator) for size in sizes]
    measured = torch.tensor([sum(each) / draws for each in drawn], dtype=torch.float64)
    width = torch.tensor([half_width(each, confidence) for each in drawn], dtype=torch.float64)
    spread = float(products.diagonal().mean())
    expected = [
        expected_variance(spread, size, population, replacement=replacement) for size in sizes
    ]
    return BatchVariance(
        tuple(sizes), measured, measured - width, measured + width,
        torch.tensor(expected, dtype=torch.float64),
    )  # fmt: skip


def _drawn(
    products: Tensor, size: int, replacement: bool, draws: int, generator: torch.Generator
) -> list[float]:
    """Return the squared lengths of the means of random rows whose *products* are given."""
    even = torch.ones(len(products), dtype=torch.float64)
    found = []
    for _ in range(draws):
        rows = torch.multinomial(even, size, replacement, generator=generator)
        found.append(float(products[rows][:, rows].mean()))
    return found


def _check_batch(batch: float) -> None:
    check_number("batch", batch, 0)
    if not batch:
        raise BadValue("batch=0; expected a batch size above zero.")
