"""The gradient noise scale, from the gradients of parts of the batches that were kept."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from thalweg.doctor.evidence import NoiseScale
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock, Refused
from thalweg.landscape.noise import noise_of

PARTS, LEAST = 4, 4
"""A batch is divided into so many parts; fewer gradients than the second say nothing."""

BYTES = 2**28
"""So much memory the gradients may take together."""


def noise(case: Case, clock: Clock) -> NoiseScale:
    """Return tr Σ / |G|² with its interval, see `noise_of`.

    Batch normalization sees whole batches, as in training. Raises Refused for too few batches, or
    too large gradients.
    """
    whole = any(isinstance(each, _BatchNorm) for each in case.model.modules())
    parts = _even(case.split(1 if whole else PARTS))
    clock.afford(LEAST)
    parts = parts[: max(LEAST, int(clock.left / max(clock.pass_seconds, 1e-9)))]
    size = sum(p.numel() * 4 for p in case.model.parameters() if p.requires_grad)
    parts = parts[: max(LEAST, BYTES // max(size, 1))]
    if len(parts) < LEAST or LEAST * size > BYTES:
        raise Refused("too few batches were kept, or gradients are too large to keep four")
    products = _products([each.objective().gradient() for each in parts])
    examples = parts[0].passes[0].examples
    found = noise_of(products, examples)
    return NoiseScale(case.step, found.scale, found.low, found.high, case.passes[-1].examples)


def _even(parts: list[Case]) -> list[Case]:
    """Return those with the most common number of examples."""
    sizes = [each.passes[0].examples for each in parts]
    common = max(set(sizes), key=sizes.count)
    return [each for each, size in zip(parts, sizes, strict=True) if size == common]


def _products(gradients: list[Tensor]) -> Tensor:
    stacked = torch.stack(gradients).double()
    return stacked @ stacked.T
