"""Schedules that only make sense together: a learning rate and a weight decay, or a batch size."""

from typing import Any

from thalweg.errors import BadValue
from thalweg.schedules.kind import checked
from thalweg.schedules.kinds import constant, normalized_decay, piecewise, step_decay, warm_restarts
from thalweg.schedules.schedule import Schedule, join


def adamwr(
    lr: float, weight_decay: float, *, batch: int, examples: int, first: int, factor: float = 2.0
) -> dict[str, Any]:
    """Return the settings that make the paper's AdamW an AdamWR, and its SGDW an SGDWR.

    ``Optimizer(params, "adamw", like="paper", **adamwr(1e-3, 0.05, batch=128, examples=50_000,
    first=1))``: a cosine with warm restarts multiplies both the step and the decay, each from its
    full size down to zero. *weight_decay* is the normalized one: it is meant for a run of one
    update, and weakened with the root of the updates in a restart. *first* counts the epochs of the
    first restart, and every later one has *factor* times as many; an epoch is all *examples* in
    batches of *batch*, of which the last may be smaller. Source: Loshchilov & Hutter 2019.
    """
    normalized = normalized_decay(
        weight_decay, batch=batch, examples=examples, first=first, factor=factor
    )
    cycle = int(first) * updates_per_epoch(examples, batch)
    return {
        "lr": warm_restarts(lr, first=cycle, factor=factor),
        "base_lr": lr,
        "weight_decay": normalized,
    }


def batch_growth(
    lr: float, batch: int, *, every: int, factor: float, examples: int
) -> tuple[Schedule, Schedule]:
    """Return a learning rate and a batch size, which grows where the rate would have fallen.

    In place of a rate divided by *factor* after every so many epochs, the batch is multiplied by
    it, up to a tenth of the *examples*; from there on the rate falls. Both are counted in updates,
    of which an epoch has fewer when batches are larger, so that they change at the same epochs as
    the rate would have. Sizes are rounded down to whole numbers. Source: Smith et al. 2017.
    """
    given = {"batch": batch, "every": every, "examples": examples, "factor": factor}
    batch, every, examples, factor = (
        checked("batch_growth", name, value) for name, value in given.items()
    )
    if factor <= 1 or batch > examples:
        raise BadValue(
            f"batch_growth: factor={factor:g} and batch={batch} of {examples} examples; expected a "
            "factor above 1 and no more in a batch than there are examples."
        )
    sizes = [batch]
    while batch * factor ** len(sizes) <= examples / 10:
        sizes.append(int(batch * factor ** len(sizes)))
    lengths = [every * updates_per_epoch(examples, size) for size in sizes]
    falling = step_decay(lr, every=lengths[-1], factor=1 / factor)
    if len(sizes) == 1:
        return falling, constant(batch)
    at = [sum(lengths[: number + 1]) for number in range(len(sizes) - 1)]
    held = Schedule(constant(lr).value, at[-1])
    return join(held, falling), piecewise(sizes, at=at)


def updates_per_epoch(examples: int, batch: Any) -> int:
    """Return how many batches the examples make; the last may be smaller."""
    return -(-examples // int(batch))
