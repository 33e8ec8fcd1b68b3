"""What is owed is measured one after the other, the cheap first, until the seconds are used up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, final

from thalweg.doctor.evidence import (
    Curvature,
    FailedProbe,
    GradientCheck,
    Kind,
    LossSlice,
    Neighbours,
    NoiseScale,
    Probe,
)
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock, Refused
from thalweg.doctor.owed.curvature import curvature
from thalweg.doctor.owed.cut import cut
from thalweg.doctor.owed.first_order import FirstOrder
from thalweg.doctor.owed.neighbours import neighbours
from thalweg.doctor.owed.noise import noise
from thalweg.doctor.owed.slope import check_gradient
from thalweg.doctor.watching.passes import most_measured
from thalweg.doctor.watching.probe import Prober
from thalweg.errors import BadValue

MANY: tuple[Kind, ...] = ("neighbours", "noise")
"""What is about examples, of which the newest small batches have too few."""

TIMING = 3
"""So many passes it takes to time one, with what goes before."""

MEASURES: dict[Kind, Callable[[Case, Clock], Any]] = {
    "neighbours": neighbours,
    "gradient check": check_gradient,
    "noise": noise,
    "curvature": curvature,
    "loss slice": cut,
}
"""What needs the loss as a function, the cheapest first, and at last what no check looks at."""


@final
@dataclass
class Settled:
    """What was measured, what was not and why, and the seconds that went into it."""

    probe: Probe | None = None
    neighbours: Neighbours | None = None
    gradient_check: GradientCheck | None = None
    noise: NoiseScale | None = None
    curvature: Curvature | None = None
    loss_slice: LossSlice | None = None
    unavailable: dict[Kind, str] = field(default_factory=dict)
    failed: list[FailedProbe] = field(default_factory=list)
    seconds: float = 0.0


def settle(case: Case, seconds: float, prober: Prober) -> Settled:
    """Measure what can be measured in so many *seconds*; what fails is reported, never raised."""
    clock, found = Clock(seconds), Settled()
    newest = case.only(case.passes[-most_measured(case.passes[-1].examples) :])
    try:
        first = FirstOrder(newest)
        found.probe = first.probe(clock, prober)
        clock.pass_seconds = first.seconds
    except Exception as error:
        found.failed.append(FailedProbe.of("first order at the end", error))
    if case.loss_fn is not None:
        _time_a_gradient(case, clock)
        for kind, measured in MEASURES.items():
            _measure(kind, measured, case if kind in MANY else newest, clock, found)
    found.seconds = clock.spent
    return found


def _time_a_gradient(case: Case, clock: Clock) -> None:
    """Tell the clock what the gradient of one batch costs, by the better of two.

    Where there is no time for that, what a pass took that was looked at stands for it.
    """
    if clock.left < TIMING * clock.pass_seconds:
        return
    with suppress(Exception):  # what is wrong with it, each measurement says itself
        loss = case.only(case.passes[-1:]).objective()
        times = []
        for _ in range(2):
            begun = clock.spent
            loss.gradient()
            times.append(clock.spent - begun)
        clock.pass_seconds = min(times)


def _measure(
    kind: Kind, measured: Callable[[Case, Clock], Any], case: Case, clock: Clock, found: Settled
) -> None:
    try:
        setattr(found, kind.replace(" ", "_"), measured(case, clock))
    except (Refused, BadValue) as reason:
        found.unavailable[kind] = str(reason)
    except Exception as error:
        found.failed.append(FailedProbe.of(kind, error))
        found.unavailable[kind] = "the probe failed"
