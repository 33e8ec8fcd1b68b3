"""What a record has of a training with several workers beside its numbers, as text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from thalweg.report.teams.staleness import drawn

if TYPE_CHECKING:
    from thalweg.record import RunSummary

LISTED = 8
"""Of how many workers the gradients are listed; of more, the fewest and the most are told."""


def shares(run: RunSummary) -> str:
    """Return how many gradients each worker measured, in order of their ranks."""
    counts = [count for _, count in sorted(_counted(run, "measured").items())]
    if len(counts) > LISTED:
        return f"{min(counts):,} to {max(counts):,} by each of {len(counts):,} workers"
    return " ".join(f"{count:,}" for count in counts)


def lateness(run: RunSummary) -> str:
    """Return how late pushes were, as bars between no update and the most."""
    staleness = _counted(run, "staleness")
    return f"0 {drawn(staleness, 16)} {max(staleness)}" if staleness else ""


def _counted(run: RunSummary, name: str) -> Counter[int]:
    tally = run.events.get("tally")
    return Counter(dict(tally.data.get(name, ()))) if tally else Counter()
