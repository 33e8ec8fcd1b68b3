"""Any hyperparameter as a pure function of the step; importing schedules does not import torch."""

from thalweg.errors import UnknownName, nearest
from thalweg.schedules.kind import Kind, schedule
from thalweg.schedules.kinds import (
    constant,
    cosine,
    exp_range,
    exponential,
    inverse_time,
    linear,
    normalized_decay,
    one_cycle,
    piecewise,
    polynomial,
    snapshot_cosine,
    step_decay,
    triangular,
    triangular2,
    vaswani,
    warm_restarts,
    warmup,
    warmup_stable_decay,
)
from thalweg.schedules.schedule import Schedule, join, lanes
from thalweg.schedules.spread import spread
from thalweg.schedules.together import adamwr, batch_growth

catalogue: dict[str, Kind] = {
    each.name: each
    for each in (
        constant, linear, warmup, step_decay, piecewise, exponential, inverse_time, polynomial,
        vaswani, cosine, warm_restarts, normalized_decay, triangular, triangular2, exp_range,
        one_cycle, warmup_stable_decay, snapshot_cosine,
    )
}  # fmt: skip
"""The kinds of schedules by name, in order of increasing complexity."""


def find(name: str) -> Kind:
    """Return the kind of schedule called *name*; UnknownName names the nearest."""
    if name not in catalogue:
        raise UnknownName(
            f"there is no schedule {name!r}.{nearest(name, catalogue)} Known schedules: "
            f"{', '.join(catalogue)}."
        )
    return catalogue[name]


__all__ = [
    "Kind", "Schedule", "adamwr", "batch_growth", "catalogue", "constant", "cosine", "exp_range",
    "exponential", "find", "inverse_time", "join", "lanes", "linear", "normalized_decay",
    "one_cycle", "piecewise", "polynomial", "schedule", "snapshot_cosine", "spread",
    "step_decay", "triangular", "triangular2", "vaswani", "warm_restarts", "warmup",
    "warmup_stable_decay",
]  # fmt: skip
