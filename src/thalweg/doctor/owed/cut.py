"""Two cuts through the loss where the run ended: at random, and down its gradient."""

from __future__ import annotations

from contextlib import suppress

from torch import Tensor

from thalweg.doctor.evidence import LossSlice
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock
from thalweg.errors import BadValue
from thalweg.landscape import filter_normalized, loss_slice, random_directions
from thalweg.landscape.objective import Objective

POINTS = 17
"""So many places, evenly spread from -1 to 1; eighths have no rounding, and the middle is 0."""

COST = 1.0 + 2 * POINTS * 0.5
"""What both cuts cost, in gradients: one of them, and losses, each no more than half of one."""


def cut(case: Case, clock: Clock) -> LossSlice:
    """Return the loss along two directions over as many of the batches as there is time for.

    Raises Refused where there is no time for one.
    """
    clock.afford(COST)
    affordable = clock.left / max(COST * clock.pass_seconds, 1e-9)
    batches = int(min(max(affordable, 1), len(case.passes)))
    loss = case.only(case.passes[-batches:]).objective()
    random = loss_slice(loss, random_directions(loss, 1), points=POINTS)
    return LossSlice(
        case.step, random.places[0].tolist(), random.losses.tolist(), _downhill(loss), batches
    )


def _downhill(loss: Objective) -> list[float]:
    """Return the losses against the gradient, none where there is nothing to follow."""
    with suppress(BadValue):
        direction: Tensor = filter_normalized(loss, -loss.gradient())
        found: list[float] = loss_slice(loss, direction, points=POINTS).losses.tolist()
        return found
    return []
