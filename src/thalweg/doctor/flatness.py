"""Where a run stands still: whether its loss ever left the start, and what the ground is like."""

from __future__ import annotations

import math

from thalweg.doctor.evidence import Evidence
from thalweg.doctor.pace import beginning, momentum_of
from thalweg.doctor.signs import length, rate, uncertainty


def never_left(seen: Evidence, fall: float = 0.04, rise: float = 0.5, least: int = 50) -> bool:
    """Whether the loss never lay a *fall* below its start in *least* updates, or noise hides it.

    One that rose has left it too. A model that has most classes right at the start has nowhere to
    go.
    """
    stretches = seen.losses.finite.medians(8)
    if len(stretches) < 8 or seen.updates < least or stretches[0] <= 0:
        return False
    right = [each.accuracy for each in seen.probes if each.accuracy is not None]
    noise = uncertainty(seen)
    lowest, last = min(stretches) / stretches[0], sum(stretches[6:]) / (2 * stretches[0])
    flat = lowest >= 1 - 2 * fall - 3 * noise and last >= 1 - max(fall, 2 * noise)
    return flat and last <= 1 + max(rise, 3 * noise) and max(right, default=0.0) <= 0.8


def level(seen: Evidence, change: float = 0.03) -> bool:
    """Whether the losses of the second half are within a *change* of each other, or noise is it."""
    stretches = seen.losses.finite.medians(8)
    if len(stretches) < 8 or stretches[-1] <= 0:
        return False
    late = stretches[4:]
    return max(late) - min(late) <= max(change, 3 * uncertainty(seen)) * max(late)


def leverage_at_end(seen: Evidence) -> float | None:
    """Return the product of the norms of gradient and weights at the end, over the loss."""
    stretches = seen.losses.finite.medians(8)
    probes = [each for each in seen.probes if each.step == seen.updates]
    if not probes or not stretches or stretches[-1] <= 0:
        return None
    return length(probes[-1], "gradient") * length(probes[-1], "weight") / stretches[-1]


def escape(seen: Evidence) -> float:
    """Return how often the distance from a saddle grew e-fold over the run, to first order."""
    found = seen.curvature
    if found is None or found.smallest >= 0:
        return 0.0
    return rate(seen) / (1 - momentum_of(seen)) * -found.smallest * seen.updates


def indefinite(seen: Evidence, share: float) -> bool:
    """Whether the most negative curvature is a *share* of the largest, and that is there."""
    found = seen.curvature
    return found is not None and found.largest > 0 and -found.smallest >= share * found.largest


def falls_high(seen: Evidence, kept: float) -> bool:
    """Whether the loss is still above *kept* of its start."""
    begun, stretches = beginning(seen), seen.losses.finite.medians(8)
    return bool(stretches) and stretches[-1] >= kept * (begun or math.inf)
