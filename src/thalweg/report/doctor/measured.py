"""What was measured at the end of a run, a line for each number, with how it is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from thalweg.report import numerals

if TYPE_CHECKING:
    from thalweg.doctor import Evidence
    from thalweg.doctor.evidence import Curvature, GradientCheck, Neighbours, NoiseScale

Line = tuple[str, str, str]


def measured(seen: Evidence) -> list[Line]:
    """Return name, number and reading of all that was measured."""
    return [
        *(_curvature(seen.curvature) if seen.curvature else ()),
        *(_noise(seen.noise) if seen.noise else ()),
        *(_gradient(seen.gradient_check) if seen.gradient_check else ()),
        *(_neighbours(seen.neighbours) if seen.neighbours else ()),
    ]


def _curvature(found: Curvature) -> Iterator[Line]:
    write = numerals.significant
    yield "largest curvature", write(found.largest), f"residual {found.residual:.1g}"
    yield "smallest curvature", write(found.smallest), "below zero the loss bends down"
    if found.quantile and found.quantile > 0:
        reading = "largest curvature over the one that nine tenths of the positive ones exceed"
        yield "ratio of the ravine", write(found.largest / found.quantile), reading
    if found.preconditioned is not None:
        reading = "of the Hessian as this optimizer's steps see it"
        yield "largest preconditioned curvature", write(found.preconditioned), reading
    low, high = found.stable_lr
    if 0 < high < math.inf:
        same = write(low) == write(high) or not low
        rate = write(high) if same else f"{write(low)} to {write(high)}"
        yield "largest stable learning rate", rate, "at the weights where the run ended"
    if found.gradient is not None:
        yield "norm of the gradient", write(found.gradient), "over the batches that were kept"


def _noise(found: NoiseScale) -> Iterator[Line]:
    write = numerals.significant
    reading = (
        "the batch size at which noise and gradient balance; far below it a larger batch saves "
        f"updates, far above it it saves none; the batch was {found.batch}"
    )
    yield "noise scale", f"{write(found.scale)} ({write(found.low)}–{write(found.high)})", reading


def _gradient(found: GradientCheck) -> Iterator[Line]:
    if found.kinked:
        reading = "not told: the loss has kinks too close by"
    else:
        reading = "relative difference from finite differences, in float64"
    yield "gradient against the loss", f"{found.error:.1g}", reading


def _neighbours(found: Neighbours) -> Iterator[Line]:
    reading = (
        f"of {found.examples:,} training examples; drawn at random it would be "
        f"{numerals.share(found.chance)}"
    )
    yield "nearest neighbour of the same class", numerals.share(found.agreement), reading
