"""What a shard says of itself: its version, what was read at it, and what became of a push."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from torch import Tensor


class Version(NamedTuple):
    """How many updates a shard has made; *life* counts how often it was restored from a snapshot.

    Versions of different lives cannot be compared: updates after the snapshot are lost.
    """

    life: int
    update: int


Versions = Sequence[Version]
"""One for each shard."""


class Reading(NamedTuple):
    """A copy of parameters as they were at a version, or at the versions of several shards."""

    values: Tensor
    versions: Versions


class Outcome(StrEnum):
    """What a shard did with a push."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    STALE = "stale"
    NONFINITE = "not finite"
    UNKNOWN = "version unknown"
    STRANGER = "not joined"


class Receipt(NamedTuple):
    """What became of a push, and how many updates old its parameters were."""

    outcome: Outcome
    staleness: int = 0
