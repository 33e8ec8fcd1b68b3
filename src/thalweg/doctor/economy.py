"""What a batch size costs: how many updates the noise asks for, times what each of them takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thalweg.doctor.evidence import Evidence, NoiseScale


@dataclass(frozen=True)
class Economy:
    """A batch size, the best one for a noise scale, and how much longer a run takes than with that.

    *off* is the larger of the two as a multiple of the smaller, *cost* the time above the best as a
    share of it, *seconds* says whether time was measured; else an example is taken to cost what it
    costs alone.
    """

    batch: int
    best: float
    off: float
    cost: float
    seconds: bool


def economy(seen: Evidence, noise: NoiseScale, scale: float) -> Economy | None:
    """Return the economy of the run's batch size at a noise *scale*, None where it says nothing.

    A run to a given loss takes (1 + scale/batch) times some number of updates (McCandlish et al.
    2018, An empirical model of large-batch training, section 2.3), and an update takes a time that
    grows linearly with the batch.
    """
    fixed, each = _seconds(seen, noise)
    if not 0 < scale < math.inf or not each > 0:
        return None
    best = max(1.0, math.sqrt(fixed * scale / each), scale if not noise.seconds else 0.0)
    times = [(1 + scale / size) * (fixed + each * size) for size in (noise.batch, best)]
    off = max(noise.batch / best, best / noise.batch)
    return Economy(noise.batch, best, off, times[0] / times[1] - 1, bool(noise.seconds))


def _seconds(seen: Evidence, noise: NoiseScale) -> tuple[float, float]:
    """Return what an update costs whatever the batch, and what each example adds to that."""
    updates = [step.seconds for step in seen.steps if step.seconds]
    update = float(np.median(updates)) if updates else 1.0
    if noise.seconds is None or noise.seconds <= 0:
        return 0.0, update / noise.batch
    each = min(noise.seconds, update / noise.batch)
    return update - each * noise.batch, each
