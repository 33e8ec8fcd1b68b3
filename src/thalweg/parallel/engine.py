"""An engine carries out the scripts of workers: where they run, and how messages reach the server.

The algorithms, shards and models are the same for every engine, and so is the call that trains.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple

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


class Moment(NamedTuple):
    """Where a training stands when a worker, known by its rank, has just measured a gradient.

    ``loss`` is that of its batch. ``gradients`` and ``examples`` are those of all workers so far.
    ``time`` is the engine's clock, and ``began`` when the first batch was dealt out: workers had
    begun by then. The tally goes on changing.
    """

    worker: int
    loss: float
    gradients: int
    examples: int
    time: float
    began: float
    tally: Tally


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be trained: an algorithm for so many workers, a model, and a number of gradients.

    Parameters begin as *start*, cut into *shards*; pushes travel by *compression*. Progress is
    reported to *watch* after every *every* gradients and at the end, and each gradient to *hear*.
    Once *stopped* says so, no gradient is dealt out any more.
    """

    algorithm: Algorithm
    replica: Replica
    start: Tensor
    gradients: int
    workers: int = 1
    shards: int = 1
    every: int | Fraction = 100
    watch: Callable[[Progress], None] = lambda progress: None
    hear: Callable[[Moment], None] = lambda moment: None
    stopped: Callable[[], bool] = lambda: False
    compression: Compression = field(default_factory=Whole)

    def seat(self, rank: int) -> Seat:
        """Return what the worker of that rank knows."""
        return Seat(rank, self.workers, self.gradients, self.replica.layout, self.shards)


@dataclass
class Tally:
    """What happened to gradients and messages; counts of pushes are per shard.

    ``receipts`` counts pushes by what shards did with them, ``staleness`` the applied ones by how
    many updates old they were, ``measured`` gradients by the rank of the worker. ``lost_gradients``
    were dealt to workers that died before they had pushed them, and ``lost_pushes`` are pushes of
    which no answer came: they may have been applied. ``lost_updates`` were made by shards that
    died, after their last snapshot.

    ``undealt`` gradients nobody was left to measure.

    ``resent`` counts messages sent again, ``restarts`` and ``restored`` workers and shards that
    began anew, ``unreachable`` workers that gave up on a server that did not answer, and
    ``released`` the waits that would never have ended.
    """

    receipts: Counter[Outcome] = field(default_factory=Counter)
    staleness: Counter[int] = field(default_factory=Counter)
    measured: Counter[int] = field(default_factory=Counter)
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

    @property
    def applied(self) -> int:
        """How many pushes became part of the parameters."""
        return self.receipts[Outcome.APPLIED]

    @property
    def refused(self) -> int:
        """How many pushes arrived and did not."""
        return self.receipts.total() - self.applied

    @property
    def lost(self) -> int:
        """How many gradients, pushes and updates were lost, together."""
        return self.lost_gradients + self.lost_pushes + self.lost_updates

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON can hold it, staleness and the workers' gradients as pairs."""
        pairs = {name: sorted(getattr(self, name).items()) for name in ("measured", "staleness")}
        receipts = {outcome.value: count for outcome, count in self.receipts.items()}
        return {**vars(self), **pairs, "receipts": receipts}

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Tally:
        """Return the tally that became these data."""
        pairs = {name: Counter(dict(data[name])) for name in ("measured", "staleness")}
        receipts = {Outcome(value): count for value, count in data["receipts"].items()}
        return cls(**{**data, **pairs, "receipts": Counter(receipts)})


class Engine(ABC):
    """Where workers run and how they reach the shards.

    Its clock counts in ``unit``. What is ``stoppable`` ends early where a job says so.
    """

    unit: ClassVar[str] = "seconds"
    stoppable: ClassVar[bool] = False

    @property
    def leads(self) -> bool:
        """Whether this process is the one, of several that make the same call, that records it."""
        return True

    @abstractmethod
    def run(self, job: Job) -> tuple[Tensor, Tally]:
        """Train until no gradient is left; return the server's parameters and what happened."""
