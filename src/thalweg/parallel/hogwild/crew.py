"""Threads that run one loop over parts of the examples, on shared weights or on copies of them.

*Shared* is Hogwild! itself: all write to one table without locks, and now and then one overwrites
what another wrote. Where many examples touch the same weights, processors spend their time handing
these to each other. With *copies* every thread has the whole table to itself for a round; then the
changes are put together, and the result depends on the number of threads alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

ROUND = 8
"""How often more weights a thread touches in a round than there are to be copied."""

PARALLEL_FROM = 400_000
"""Touches in an epoch below which waking a second thread costs more than it saves."""

WORTH = 1.05
"""How many times as fast as one thread several must be to be chosen."""

_UNCOUNTED = np.zeros(0, np.int64)


@dataclass
class Work:
    """What threads have to do: a compiled *loop* over examples, and the *table* that it changes.

    The first *weights* columns of the table are weights, and state goes up to column *kept*.
    *clock* counts the examples seen. *examples* are in an epoch, each of which touches so many rows
    of the table as *touches* says in the mean, and a part of them as often as *counted* says.
    *load* is the share that each row has in the data.
    """

    loop: Callable[..., float]
    merge: Callable[..., None]
    table: np.ndarray
    scalars: np.ndarray
    hypers: np.ndarray
    clock: int
    examples: int
    touches: float
    counted: Callable[[int, int], int]
    load: np.ndarray
    weights: int
    kept: int

    def run(self, first: int, last: int, **how: Any) -> float:
        """Run the loop on this thread and return the loss it met."""
        table, counts = how.get("table", self.table), how.get("counts", _UNCOUNTED)
        clock, stride = how.get("clock", self.clock), how.get("stride", 1)
        here = (table, self.scalars, self.hypers, counts)
        return self.loop(*here, first, last, clock + 1, stride)


@dataclass(frozen=True)
class Sharing:
    """How many threads there are, and whether each has its own copy of the weights."""

    threads: int = 1
    copies: bool = False

    def __str__(self) -> str:
        """Return "one thread", "shared" or "copies"."""
        return "one thread" if self.threads == 1 else "copies" if self.copies else "shared"


@dataclass(frozen=True)
class Observed:
    """What a probe found: the fastest *sharing*, how many times as fast as one thread it was.

    *conflict_rate* is the share of the updates that another thread overwrote.
    """

    sharing: Sharing = Sharing()
    speed_up: float = 1.0
    conflict_rate: float = 0.0


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Crew:
    """At most *most* threads; exactly so many where the number is *fixed*. Close it after use."""

    most: int
    fixed: bool = False
    observed: Observed | None = None
    _copies: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))

    def __enter__(self) -> Crew:
        self._pool = ThreadPoolExecutor(max(self.most - 1, 1), thread_name_prefix="hogwild")
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def epoch(self, work: Work) -> float:
        """Run the loop over all examples and return the sum of the losses.

        The first epoch that is worth it tries every sharing on a part of the examples.
        """
        if self.observed is not None:
            return self._part(work, self.observed.sharing, 0, work.examples)
        if self.most == 1 or not (self.fixed or work.touches * work.examples > PARALLEL_FROM):
            return self._part(work, Sharing(), 0, work.examples)
        return self._probe(work)

    def _probe(self, work: Work) -> float:
        """Try each sharing on its part of an epoch, and the fastest on the last part, counting."""
        candidates = [Sharing(), *self._candidates(work)]
        ends = np.linspace(0, work.examples, len(candidates) + 2).astype(int).tolist()
        total, speeds = 0.0, {}
        for sharing, first, last in zip(candidates, ends, ends[1:], strict=False):
            start = perf_counter()
            total += self._part(work, sharing, first, last)
            speeds[sharing] = max(1, last - first) / (perf_counter() - start)
        alone, best = speeds[Sharing()], max(candidates[1:], key=speeds.__getitem__)
        if not self.fixed and speeds[best] < WORTH * alone:
            best = Sharing()
        loss, rate = self._counted(work, best, *ends[-2:])
        self.observed = Observed(best, speeds[best] / alone, rate)
        return total + loss

    def _candidates(self, work: Work) -> list[Sharing]:
        powers = [2**k for k in range(1, self.most.bit_length()) if 2**k < self.most]
        counts = [self.most] if self.fixed else [*powers, self.most]
        enough = work.touches * work.examples // (2 * ROUND * work.table.size)
        return [
            Sharing(threads, copies)
            for threads in counts
            for copies in (False, True)
            if not copies or threads <= enough
        ]

    def _counted(self, work: Work, sharing: Sharing, first: int, last: int) -> tuple[float, float]:
        """Run a part; return its loss and the share of updates that were overwritten.

        Every update adds one to a count beside its weight. These counts race as the weights do, so
        what is missing from their sum was lost.
        """
        if sharing.copies or sharing.threads == 1:
            return self._part(work, sharing, first, last), 0.0
        counts = np.zeros(len(work.table), np.int64)
        loss = self._shared(work, sharing.threads, first, last, counts)
        return loss, max(0.0, 1 - int(counts.sum()) / max(1, work.counted(first, last)))

    def _part(self, work: Work, sharing: Sharing, first: int, last: int) -> float:
        if sharing.copies:
            return self._rounds(work, sharing.threads, first, last)
        return self._shared(work, sharing.threads, first, last, _UNCOUNTED)

    def _shared(
        self, work: Work, threads: int, first: int, last: int, counts: np.ndarray
    ) -> float:  # fmt: skip
        run = partial(work.run, counts=counts, clock=work.clock, stride=threads)
        loss = self._together([partial(run, *span) for span in _spans(first, last, threads)])
        work.clock += last - first
        return loss

    def _rounds(self, work: Work, threads: int, first: int, last: int) -> float:
        if self._copies.shape != (threads, *work.table.shape):
            self._copies = np.empty((threads, *work.table.shape), work.table.dtype)
        most = threads * np.ceil(ROUND * work.table.size / work.touches)
        rounds = max(1, round((last - first) / most))
        share = share_of_changes(work.load, (last - first) / rounds / threads, threads)
        total = 0.0
        for begin, end in _spans(first, last, rounds):
            total += self._round(work, list(_spans(begin, end, threads)))
            work.merge(work.table, self._copies, share, work.weights, work.kept)
            work.clock += end - begin
        return total

    def _round(self, work: Work, spans: list[tuple[int, int]]) -> float:
        def alone(copy: np.ndarray, span: tuple[int, int]) -> float:
            np.copyto(copy, work.table)
            return work.run(*span, table=copy, clock=work.clock, stride=len(spans))

        pairs = zip(self._copies, spans, strict=True)
        return self._together([partial(alone, copy, span) for copy, span in pairs])

    def _together(self, tasks: list[Callable[[], float]]) -> float:
        """Run all tasks at once, the first on this thread, and return the sum of the results."""
        others = [self._pool.submit(task) for task in tasks[1:]]
        return tasks[0]() + sum(other.result() for other in others)


def _spans(first: int, last: int, parts: int) -> Iterator[tuple[int, int]]:
    ends = [first + (last - first) * k // parts for k in range(parts + 1)]
    yield from pairwise(ends)


def share_of_changes(load: np.ndarray, examples: float, threads: int) -> np.ndarray:
    """Return how much counts of what each of *threads* changed in a row in so many *examples*.

    A thread brings a weight the part 1 - r of its way, and n threads after each other 1 - r**n.
    So that is what the sum of their changes, n (1 - r), is scaled to: nothing is taken off where
    examples hardly touch the weight, and the mean is taken where each thread alone suffices. With
    the largest stable step r = exp(-examples * load), where *load* is a row's share of the squared
    length of an example; with smaller steps the sum is a little too cautious.
    """
    left = np.exp(-examples * load.astype(np.float64))
    way = threads * (1 - left)
    return np.divide(1 - left**threads, way, out=np.ones_like(way), where=way > 1e-6)
