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
    gradients, seconds = zip(*[_timed(each, clock) for each in parts], strict=True)
    examples, batch = parts[0].passes[0].examples, case.passes[-1].examples
    found = noise_of(_products(list(gradients)), examples)
    saved = clock.pass_seconds - min(seconds)
    more = saved / (batch - examples) if batch > examples else None
    return NoiseScale(
        case.step, found.scale, found.low, found.high, batch, found.spread, found.signal, more
    )


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
