"""The height at which noise keeps the loss, where steps along it lift what others lowered."""

from __future__ import annotations

import numpy as np

from thalweg.doctor.evidence import Evidence
from thalweg.doctor.pace import momentum_of

NOISY = 0.05
"""A floor of this share of the loss, measured on batches just trained on, is one that counts."""


def noise_floor(seen: Evidence) -> float | None:
    """Return by how much the noise of the gradient lifts the loss, at the last learning rate.

    In a valley with steps well within the stable ones it is lr/4 times the trace of the noise of
    the updates. An adaptive rule divides each coordinate by the size of its noise; all are taken to
    be equally noisy, which is the most that it can be. None where the noise was not measured.
    """
    found, rates = seen.noise, seen.lrs()
    if found is None or found.spread is None or not len(rates) or not found.batch:
        return None
    rate, accumulated = float(rates.values[-1]), max(1, seen.steps[-1].backwards)
    trace = max(found.spread, 0.0) / (found.batch * accumulated)
    if seen.optimizer.adaptive:
        held = (each for each in seen.model.parameters.values() if each.trainable and each.groups)
        return rate / 4 * float(np.sqrt(sum(each.elements for each in held) * trace))
    return rate / (1 - momentum_of(seen)) / 4 * trace


def floor_share(seen: Evidence) -> float | None:
    """Return the floor as a share of the mean loss in the last quarter."""
    floor, tail = noise_floor(seen), seen.losses.finite.tail(0.25).values
    if floor is None or not len(tail) or not tail.mean() > 0:
        return None
    return floor / float(tail.mean())
