"""`simulate`: which algorithm bears how many workers and how much delay, before any is rented."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal

from thalweg import problems
from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue
from thalweg.parallel.algorithms.algorithm import Algorithm
from thalweg.parallel.fitting import fit
from thalweg.parallel.inproc.conditions import Network
from thalweg.parallel.inproc.distributions import Distribution, exponential, lognormal
from thalweg.parallel.inproc.engine import InProcess
from thalweg.parallel.result import Result
from thalweg.problems import Problem

LARGEST = 1000
"""How many workers can be simulated at most."""

COMPUTE = lognormal(1.0, 0.25)
"""How long a gradient takes by default, in virtual time."""

RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""The learning rates that an algorithm is tuned over by default."""


@dataclass(frozen=True)
class Cell:
    """How an algorithm did with so many workers and so much delay.

    ``losses`` are those at the end, of each seed, infinite where it diverged; on the validation set
    where there is one. ``time`` and ``staleness``, in updates, are means over the seeds.
    """

    algorithm: str
    workers: int
    delay: float
    losses: tuple[float, ...]
    time: float
    staleness: float

    @property
    def loss(self) -> float:
        """The median over the seeds."""
        return statistics.median(self.losses)


@dataclass(frozen=True)
class Simulation:
    """What was simulated on one problem: the learning rate of each algorithm, and every cell.

    *rates* are those of one worker; *tried* are those that they were chosen from, if any were.
    """

    problem: str
    epochs: int
    batch: int | Literal["all"]
    rates: Mapping[str, float]
    tried: tuple[float, ...]
    cells: tuple[Cell, ...]


def tuned(
    problem: str | Problem,
    algorithms: Mapping[str, Algorithm],
    rates: Sequence[float] = RATES,
    *,
    epochs: int | None = None,
    batch: int | Literal["all"] | None = None,
    compute: float | Distribution = COMPUTE,
) -> Iterator[tuple[str, Algorithm]]:
    """Yield each algorithm, by name, at the rate with the lowest loss for one worker and no delay.

    That is the rate one would tune before adding workers. Raises BadValue where an algorithm
    diverges at all *rates*.
    """
    if not rates:
        raise BadValue("rates is empty; expected learning rates such as (0.01, 0.1).")
    for rate in rates:
        check_number("a rate", rate, 0)
    for name, algorithm in algorithms.items():
        given = {str(rate): _at(name, algorithm, rate) for rate in rates}
        cells = simulate(
            problem, given, (1,), (0.0,), epochs=epochs, batch=batch, compute=compute
        )  # fmt: skip
        lowest = min(cells, key=lambda cell: cell.loss)
        if lowest.loss == inf:
            raise BadValue(
                f"{name} diverged with one worker at every rate that was tried: "
                f"{', '.join(f'{rate:g}' for rate in rates)}. Try lower ones."
            )
        yield name, given[lowest.algorithm]


def _at(name: str, algorithm: Any, rate: float) -> Algorithm:
    """Return an algorithm with another learning rate."""
    if "lr" not in getattr(algorithm, "__dataclass_fields__", ()):
        raise BadType(
            f"{name!r} is {algorithm!r}; expected an algorithm with a learning rate lr, such as "
            "Downpour()."
        )
    found: Algorithm = replace(algorithm, lr=rate)
    return found


def simulate(
    problem: str | Problem,
    algorithms: Mapping[str, Algorithm],
    workers: Sequence[int] = (1, 10, 100),
    delays: Sequence[float] = (0.0, 1.0, 10.0),
    *,
    epochs: int | None = None,
    batch: int | Literal["all"] | None = None,
    seeds: int = 1,
    compute: float | Distribution = COMPUTE,
) -> Iterator[Cell]:
    """Train a problem under every condition and yield how it went, one algorithm after the other.

    All see the same number of examples. Virtual time counts gradients: one takes 1, give or take a
    quarter, or what *compute* says; a question to the server and its answer take *delay* together,
    exponentially distributed. Raises before the first training for what cannot work.
    """
    loaded = problems.load(problem) if isinstance(problem, str) else problem
    for name, algorithm in algorithms.items():
        if not isinstance(algorithm, Algorithm):
            raise BadType(f"{name!r} is {algorithm!r}; expected an algorithm such as Downpour().")
    for count in workers:
        check_count("workers", count, 1, LARGEST)
    for delay in delays:
        check_number("delay", delay, 0)
    check_count("seeds", seeds)
    budget = epochs or loaded.epochs, batch or loaded.batch_size
    return _cells(loaded, algorithms, workers, delays, budget, range(seeds), compute)


def _cells(
    problem: Problem, algorithms: Mapping[str, Algorithm], workers: Sequence[int],
    delays: Sequence[float], budget: tuple[int, int | Literal["all"]], seeds: range,
    compute: float | Distribution,
) -> Iterator[Cell]:  # fmt: skip
    for name, algorithm in algorithms.items():
        for count in workers:
            for delay in delays:
                network = Network(exponential(delay / 2), timeout=1000 * (1 + delay))
                engines = [InProcess(compute, network, seed=seed) for seed in seeds]
                results = [_trained(problem, algorithm, count, each, budget) for each in engines]
                yield _cell(name, count, delay, results)


def _trained(
    problem: Problem, algorithm: Algorithm, workers: int, engine: InProcess,
    budget: tuple[int, int | Literal["all"]],
) -> Result:  # fmt: skip
    epochs, batch = budget
    return fit(
        problem.make_model(engine.seed), problem.loss, problem.train, problem.validation,
        algorithm=algorithm, workers=workers, engine=engine, batch=batch, epochs=epochs,
        seed=engine.seed,
    )  # fmt: skip


def _cell(name: str, workers: int, delay: float, results: list[Result]) -> Cell:
    ends = [result.history[-1] for result in results]
    losses = tuple(inf if result.diverged else result.history[-1].judged for result in results)
    staleness = statistics.mean(_mean_staleness(result) for result in results)
    return Cell(name, workers, delay, losses, statistics.mean(e.time for e in ends), staleness)


def _mean_staleness(result: Result) -> float:
    found = result.tally.staleness
    return sum(late * count for late, count in found.items()) / max(found.total(), 1)


def best(cells: Iterable[Cell]) -> dict[tuple[int, float], Cell]:
    """Return for every number of workers and delay the cell with the lowest loss."""
    found: dict[tuple[int, float], Cell] = {}
    for cell in cells:
        place = cell.workers, cell.delay
        if place not in found or cell.loss < found[place].loss:
            found[place] = cell
    return found
