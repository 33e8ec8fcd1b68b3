"""The gradient noise scale, from the gradients of parts of the batches that were kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from thalweg.doctor.evidence import NoiseScale
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock, Refused

PARTS, LEAST = 4, 4
"""A batch is divided into so many parts; fewer gradients than the second say nothing."""

BYTES = 2**28
"""So much memory the gradients may take together."""


def noise(case: Case, clock: Clock) -> NoiseScale:
    """Return tr Σ / |G|² with an interval of two standard errors, by the jackknife.

    Numerator and denominator are estimated apart, each without bias (McCandlish et al. 2018,
    An empirical model of large-batch training, appendix A.1). Batch normalization sees whole
    batches, as in training. Raises Refused for too few batches, or too large gradients.
    """
    whole = any(isinstance(each, _BatchNorm) for each in case.model.modules())
    parts = _even(case.split(1 if whole else PARTS))
    clock.afford(LEAST)
    parts = parts[: max(LEAST, int(clock.left / max(clock.pass_seconds, 1e-9)))]
    size = sum(p.numel() * 4 for p in case.model.parameters() if p.requires_grad)
    parts = parts[: max(LEAST, BYTES // max(size, 1))]
    if len(parts) < LEAST or LEAST * size > BYTES:
        raise Refused("too few batches were kept, or gradients are too large to keep four")
    gradients, seconds = zip(*[_timed(each, clock) for each in parts], strict=True)
    products, examples = _products(list(gradients)), parts[0].passes[0].examples
    scale, low, high = scale_of(products, examples)
    signal, spread = _estimates(products, examples)
    batch = case.passes[-1].examples
    saved = clock.pass_seconds - min(seconds)
    more = saved / (batch - examples) if batch > examples else None
    return NoiseScale(case.step, scale, low, high, batch, spread, signal, more)


def _timed(part: Case, clock: Clock) -> tuple[Tensor, float]:
    """Return the gradient of a part, and the seconds that it took."""
    loss = part.objective()
    begun = clock.spent
    return loss.gradient(), clock.spent - begun


def _even(parts: list[Case]) -> list[Case]:
    """Return those with the most common number of examples."""
    sizes = [each.passes[0].examples for each in parts]
    common = max(set(sizes), key=sizes.count)
    return [each for each, size in zip(parts, sizes, strict=True) if size == common]


def _products(gradients: list[Tensor]) -> Tensor:
    stacked = torch.stack(gradients).double()
    return stacked @ stacked.T


def scale_of(products: Tensor, examples: int) -> tuple[float, float, float]:
    """Return the noise scale and its interval from the inner products of gradients.

    Each gradient is the mean over so many *examples*. The scale is infinite where the gradient
    cannot be told from zero.
    """
    signal, spread = _estimates(products, examples)
    rest = [_estimates(_without(products, k), examples) for k in range(len(products))]
    errors = [_jackknifed([each[k] for each in rest]) for k in (0, 1)]
    low = max(0.0, spread - 2 * errors[1]) / max(signal + 2 * errors[0], 1e-300)
    below = signal - 2 * errors[0]
    high = (spread + 2 * errors[1]) / below if below > 0 else math.inf
    return (spread / signal if signal > 0 else math.inf), low, high


def _estimates(products: Tensor, examples: int) -> tuple[float, float]:
    """Return |G|² and tr Σ, from gradients of small batches and their mean, that of a large one."""
    count = len(products)
    small, large = float(products.diagonal().mean()), float(products.mean())
    signal = (count * large - small) / (count - 1)
    spread = (small - large) / (1 / examples - 1 / (count * examples))
    return signal, spread


def _without(products: Tensor, k: int) -> Tensor:
    kept = torch.arange(len(products)) != k
    return products[kept][:, kept]


def _jackknifed(values: list[float]) -> float:
    count, mean = len(values), sum(values) / len(values)
    return math.sqrt((count - 1) / count * sum((each - mean) ** 2 for each in values))
