"""An engine carries out the scripts of workers: where they run, and how messages reach the server.

The algorithms, shards and models are the same for every engine, and so is the call that trains.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from thalweg.parallel.algorithms.algorithm import Algorithm, Seat
from thalweg.parallel.compression import Compression, Whole
from thalweg.parallel.replica import Replica
from thalweg.parallel.server.versions import Outcome, Receipt


class Progress(NamedTuple):
    """How far a training has come: gradients measured, updates made, and the engine's clock.

    ``loss`` is the mean of the batches since the last report, of ``examples`` all in all. *values*
    returns the server's parameters as they are now, None while a shard is down.
    """

    gradients: int
    examples: int
    updates: int
    time: float
    loss: float
    values: Callable[[], Tensor | None]


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be trained: an algorithm for so many workers, a model, and a number of gradients.

    Parameters begin as *start*, cut into *shards*; pushes travel by *compression*. Progress is
    reported to *watch* after every *every* gradients and at the end.
    """

    algorithm: Algorithm
    replica: Replica
    start: Tensor
    gradients: int
    workers: int = 1
    shards: int = 1
    every: int = 100
    watch: Callable[[Progress], None] = lambda progress: None
    compression: Compression = field(default_factory=Whole)

    def seat(self, rank: int) -> Seat:
        """Return what the worker of that rank knows."""
        return Seat(rank, self.workers, self.gradients, self.replica.layout, self.shards)


@dataclass
class Tally:
    """What happened to gradients and messages; counts of pushes are per shard.

    ``receipts`` counts pushes by what shards did with them, ``staleness`` the applied ones by how
    many updates old they were. ``lost_gradients`` were dealt to workers that died before they had
    measured them, and ``lost_pushes`` are pushes of which no answer came: they may have been
    applied. ``lost_updates`` were made by shards that died, after their last snapshot.

    ``undealt`` gradients nobody was left to measure.

    ``resent`` counts messages sent again, ``restarts`` and ``restored`` workers and shards that
    began anew, ``unreachable`` workers that gave up on a server that did not answer, and
    ``released`` the waits that would never have ended.
    """

    receipts: Counter[Outcome] = field(default_factory=Counter)
    staleness: Counter[int] = field(default_factory=Counter)
    undealt: int = 0
    lost_gradients: int = 0
    lost_pushes: int = 0
    lost_updates: int = 0
    resent: int = 0
    restarts: int = 0
    restored: int = 0
    unreachable: int = 0
    released: int = 0

    def note(self, receipt: Receipt) -> None:
        """Count a push."""
        self.receipts[receipt.outcome] += 1
        if receipt.outcome is Outcome.APPLIED:
            self.staleness[receipt.staleness] += 1


class Engine(ABC):
    """Where workers run and how they reach the shards."""

    @property
    def leads(self) -> bool:
        """Whether this process is the one, of several that make the same call, that records it."""
        return True

    @abstractmethod
    def run(self, job: Job) -> tuple[Tensor, Tally]:
        """Train until no gradient is left; return the server's parameters and what happened."""
