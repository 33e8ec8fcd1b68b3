"""How far a run could have come: what its updates promised, to first order, against the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thalweg.doctor.evidence import Evidence, Probe
from thalweg.doctor.signs import length


@dataclass(frozen=True)
class Pace:
    """What the first updates that were looked at promise, all as shares of the loss at the start.

    *update* is the product of the norms of gradient and update at the run's median rate: the most
    that the loss could fall by in one update, were it a plane. *piled* is the same of the steps
    that momentum piles up, *whole* the sum of these over the run at its own rates. *leverage* is
    the product of the norms of gradient and weights: how much the loss depends on the weights.
    """

    update: float
    piled: float
    whole: float
    leverage: float


def pace_of(seen: Evidence, first: int = 2) -> Pace | None:
    """Return the pace by the *first* probes with a gradient; None where there are none.

    A loss that begins at zero or below has no shares.
    """
    loss = beginning(seen)
    probes = [each for each in seen.probes if length(each, "gradient") > 0][:first]
    if not probes or loss is None:
        return None
    rates = {each.number: max(each.lrs, default=0.0) for each in seen.steps if not each.skipped}
    sizes = [_per_rate(each, rates.get(each.step, 0.0)) / loss for each in probes]
    every = [*rates.values()] or [0.0]
    unit, piling = float(np.median(sizes)), 1 / (1 - momentum_of(seen))
    levers = [length(each, "gradient") * length(each, "weight") / loss for each in probes]
    update, whole = unit * float(np.median(every)), unit * piling * seen.updates * np.mean(every)
    return Pace(update, update * piling, float(whole), float(np.median(levers)))


def _per_rate(probe: Probe, rate: float) -> float:
    """Return what an update promised for each unit of the learning rate."""
    return length(probe, "gradient") * length(probe, "update") / rate if rate > 0 else 0.0


def beginning(seen: Evidence) -> float | None:
    """Return the loss at the start; None unless it is positive.

    It is the first loss, before any update, or where batches are small the median of the first.
    """
    examples = seen.steps[0].examples if seen.steps else None
    values = seen.losses.finite.values[: 1 if examples is None else max(1, min(8, 32 // examples))]
    return float(np.median(values)) if len(values) and np.median(values) > 0 else None


def momentum_of(seen: Evidence) -> float:
    """Return by how much the steps of a rule that is not adaptive are piled up."""
    if seen.optimizer.adaptive or not seen.optimizer.groups:
        return 0.0
    settings = seen.optimizer.groups[0].settings
    found = settings.get("momentum", settings.get("beta", 0.0))
    damped = settings.get("dampening", 0.0)
    usable = isinstance(found, (int, float)) and 0 <= found < 1 and not damped
    return float(found) if usable else 0.0
