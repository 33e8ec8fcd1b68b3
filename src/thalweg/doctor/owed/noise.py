"""The gradient noise scale, from the gradients of parts of the batches that were kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from thalweg.doctor.evidence import NoiseScale
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock, Refused
from thalweg.doctor.watching.passes import Pass
from thalweg.landscape.noise import noise_of

PARTS, WANTED, LEAST = 4, 16, 4
"""Batches are divided into so many parts, or more where few batches would make too few in all.

Fewer gradients than the last say nothing.
"""

NORMALIZED = 64
"""Batch normalization sees no fewer examples than these, unless the training's batches have."""

BYTES = 2**28
"""So much memory the gradients may take together."""


def noise(case: Case, clock: Clock) -> NoiseScale:
    """Return tr Σ / |G|² with its interval, see `noise_of`.

    Batches of the same examples count once. Batch normalization sees parts that are large, or
    whole batches, as in training. Raises Refused for too few batches, or too large gradients.
    """
    parts = _even(_parts(case.only(_different(case.passes))))
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


def _parts(case: Case) -> list[Case]:
    """Return the batches in parts, where batch normalization sees enough examples of each."""
    parts = max(PARTS, WANTED // len(case.passes))
    if any(isinstance(each, _BatchNorm) for each in case.model.modules()):
        parts = max(1, min(parts, case.passes[-1].examples // NORMALIZED))
    return case.split(parts)


def _different(passes: Sequence[Pass]) -> list[Pass]:
    """Return the passes without those of the same examples, in whatever order, as others."""
    return [*{_sums(each): each for each in passes}.values()]


def _sums(on: Pass) -> tuple[str, ...]:
    """Return what the same examples have in common in any order: lengths of sums, but for rounding.

    Complex numbers are left out.
    """
    values = [each.detach().double() for each in on.tensors if not each.is_complex()]
    sums = [each.sum(0) if each.ndim else each for each in values]
    return tuple(f"{float(each.square().sum()):.9g}" for each in (*sums, *values))


def _even(parts: list[Case]) -> list[Case]:
    """Return those with the most common number of examples."""
    sizes = [each.passes[0].examples for each in parts]
    common = max(set(sizes), key=sizes.count)
    return [each for each, size in zip(parts, sizes, strict=True) if size == common]


def _products(gradients: list[Tensor]) -> Tensor:
    stacked = torch.stack(gradients).double()
    return stacked @ stacked.T
