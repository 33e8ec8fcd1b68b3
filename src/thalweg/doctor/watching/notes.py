"""What a watch has to say of a loop in which its optimizer takes no steps, or no more."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from thalweg.doctor.watching.observer import Observer

FEW, TIMES = 8, 4
"""So many gradients after the last update say nothing, nor so many times those of an update."""


def notes(seen: Observer) -> Iterator[str]:
    """Yield why updates were not seen, where losses were computed that no update followed."""
    losses = seen.losses.waiting
    counts = [each.backwards for each in seen.log.steps()]
    if losses <= max(FEW, TIMES * median(counts or [0])):
        return
    after = f" after number {seen.updates:,}" if seen.updates else ""
    kind = type(seen.optimizer).__name__
    yield (
        f"no update by {kind} was seen{after}, though the loss was computed {losses:,} times "
        f"since: {_instead(seen)}"
    )


def _instead(seen: Observer) -> str:
    """Say who may take the steps, and what to do."""
    kinds = ", ".join(sorted({each.kind for each in seen.others}))
    if kinds:
        return f"{kinds} holds the same parameters. Watch the optimizer that takes the steps."
    return (
        "if the weights are changed by hand, nothing can be said of their updates. Let an "
        "optimizer take the steps, and watch that."
    )
