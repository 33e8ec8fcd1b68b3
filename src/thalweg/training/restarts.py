"""Random restarts: train from several initializations, keep the best, say how far they spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.training.history import Result


class Spread(NamedTuple):
    """The losses of all restarts: the lowest, the median, the highest, and how many failed.

    A failed one counts as infinite.
    """

    best: float
    median: float
    worst: float
    failed: int


@dataclass(frozen=True)
class Restart:
    """A training that has ended: its seed, and its loss, infinite where it diverged."""

    seed: int
    loss: float


@dataclass(frozen=True, eq=False)
class Restarts:
    """All trainings in the order in which they ran, and the result of the best with its seed.

    Where all have failed, the best is the first.
    """

    best: Result
    seed: int
    runs: tuple[Restart, ...]

    @property
    def spread(self) -> Spread:
        """How far the losses of all lie apart."""
        losses = [run.loss for run in self.runs]
        failed = losses.count(math.inf)
        return Spread(min(losses), median(losses), max(losses), failed)


def last_judged(result: Result) -> float:
    """Return the loss after the last epoch, on the validation set where there is one.

    Infinite where the training diverged, or where it made no epoch.
    """
    if result.diverged or not result.history:
        return math.inf
    loss = result.history[-1].judged
    return loss if math.isfinite(loss) else math.inf


def random_restarts(
    train: Callable[[int], Result],
    seeds: int | Iterable[int],
    *,
    judge: Callable[[Result], float] = last_judged,
    on_restart: Callable[[Restart], None] | None = None,
) -> Restarts:
    """Call ``train(seed)`` with every seed and return the best result and all losses.

    *train* makes a model whose weights the seed decides, and returns what `fit` returns. *seeds*
    are whole numbers, or how many to take from 0. The lowest loss is the best, as *judge* finds it
    in a result: the last one by default. *on_restart* is told of each training as it ends. Of all
    models at most two are kept at a time, the best and the one in training.
    """
    best: tuple[float, int, Result] | None = None
    runs = []
    for seed in _distinct(seeds):
        loss, result = _judged(train(seed), judge)
        runs.append(Restart(seed, loss))
        if best is None or loss < best[0]:
            best = loss, seed, result
        del result
        if on_restart is not None:
            on_restart(runs[-1])
    assert best is not None
    return Restarts(best[2], best[1], tuple(runs))


def _judged(result: Result, judge: Callable[[Result], float]) -> tuple[float, Result]:
    if not isinstance(result, Result):
        raise BadType(
            f"train(seed) returned {type(result).__name__}; expected what fit(...) returns."
        )
    loss = float(judge(result))
    return (math.inf if math.isnan(loss) else loss), result


def _distinct(seeds: int | Iterable[int]) -> tuple[int, ...]:
    if isinstance(seeds, int):
        check_count("seeds", seeds)
        return tuple(range(seeds))
    chosen = tuple(seeds)
    if not chosen or len(set(chosen)) < len(chosen):
        raise BadValue(
            f"the seeds are {chosen}; expected at least one, and no two the same: equal seeds make "
            "equal trainings."
        )
    return chosen
