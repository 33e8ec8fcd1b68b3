"""The range test: the rate grows with every update, and the loss tells where that matters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from thalweg.doctor.rates.subject import Subject
from thalweg.errors import NoRate

DECADES = 4
"""The test goes so far below and above the rate that the optimizer has now."""

SEEDS = 3
"""Orders of the data that the test is made in; their curves are averaged."""

MEMORY = 0.9
"""How much of the running loss is kept from update to update."""

ROUNDING = 2.0**-22
"""A loss that falls by no more than this share of its size only rounds differently."""


@final
@dataclass(frozen=True, eq=False)
class Sweep:
    """Running losses against rates (points,), smoothed without bias and averaged over seeds.

    ``steepest`` is the rate at which the loss falls fastest against log rate, ``lowest`` that at
    which it is smallest. The test ends where a loss is not finite or has risen above its start.
    """

    rates: np.ndarray
    losses: np.ndarray
    steepest: float
    lowest: float


def sweep(subject: Subject, updates: int) -> Sweep:
    """Return the range test over so many updates.

    Raises NoRate where the loss is not finite at the smallest rate, or falls at none.
    """
    ends = subject.rate * 10.0**-DECADES, subject.rate * 10.0**DECADES
    rates = np.geomspace(*ends, updates)
    curves = [_smoothed(_losses(subject, rates, run)) for run in range(SEEDS)]
    length = min(map(len, curves))
    if length < 2:
        raise NoRate(
            f"the loss is not finite at the smallest learning rate, {ends[0]:.2g}. What is wrong "
            "is something else: `thalweg doctor` or thalweg.watch finds the first module or step."
        )
    losses = np.mean([each[:length] for each in curves], axis=0)
    slope = np.gradient(losses, np.log(rates[:length]))
    steepest, lowest = int(slope.argmin()), int(losses.argmin())
    fell = losses[0] - losses[lowest] > ROUNDING * np.abs(losses).max()
    if not fell or slope[steepest] >= 0:
        raise NoRate(
            f"the loss fell at no learning rate from {ends[0]:.2g} to {rates[length - 1]:.2g}. "
            "Look for another cause with `thalweg doctor` or thalweg.watch, or allow more updates."
        )
    return Sweep(rates[:length], losses, float(rates[steepest]), float(rates[lowest]))


def _losses(subject: Subject, rates: np.ndarray, run: int) -> list[float]:
    """Return the losses of a run whose rate grows, up to the first that is far above the start."""
    found: list[float] = []
    batches, learner = subject.drawn(len(rates), run), subject.learner(run)
    for batch, rate in zip(batches, rates, strict=True):
        loss = float(learner.update(batch, float(rate)))
        if not math.isfinite(loss) or (found and loss > found[0] + 3 * abs(found[0])):
            break
        found.append(loss)
    return found


def _smoothed(losses: list[float]) -> np.ndarray:
    """Return the running mean of losses, corrected for its beginning at zero."""
    mean, found = 0.0, []
    for count, loss in enumerate(losses, start=1):
        mean = MEMORY * mean + (1 - MEMORY) * loss
        found.append(mean / (1 - MEMORY**count))
    return np.asarray(found)
