"""How a search chooses the points it tries: one small interface, four ways of choosing.

A point has a number from 0 to 1 for each dimension, and the same seed gives the same points. Those
of `Sobol` and `Random` begin with the same numbers in any number of dimensions, so that rules with
few hyperparameters and rules with many are tried at the same learning rates.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import product
from typing import Any, final

from thalweg.arguments import check_count
from thalweg.errors import BadValue, MissingPackage, UnknownName, nearest

Point = tuple[float, ...]


class Sampler(ABC):
    """Says which points to try next; `ask` for them, then `tell` what came out.

    ``learns`` is whether later points depend on what was told.
    """

    learns = False

    def __init__(self, dimensions: int, seed: int = 0) -> None:
        check_count("dimensions", dimensions)
        check_count("seed", seed, 0)
        self.dimensions, self.seed = dimensions, seed

    @abstractmethod
    def ask(self, number: int) -> list[Point]:
        """Return the next *number* points to try."""

    @abstractmethod
    def tell(self, point: Point, loss: float) -> None:
        """Say what came out at a *point* that was asked for; a failure is an infinite loss."""


class _Deaf(Sampler):
    """A sampler whose points are settled from the start."""

    def tell(self, point: Point, loss: float) -> None:
        """Take note of nothing: the points are the same whatever comes out."""


@final
class Sobol(_Deaf):
    """A scrambled Sobol sequence, which fills the space more evenly than chance does.

    Asked again, it goes on where it stood. Source: Sobol 1967; Owen 1998 for the scrambling.
    """

    def __init__(self, dimensions: int, seed: int = 0) -> None:
        super().__init__(dimensions, seed)
        self._asked = 0

    def ask(self, number: int) -> list[Point]:
        """Return the next *number* points of the sequence."""
        from scipy.stats import qmc

        check_count("number", number)
        start, self._asked = self._asked, self._asked + number
        sequence = qmc.Sobol(_columns(self.dimensions), scramble=True, rng=self.seed)
        points = sequence.random_base2((self._asked - 1).bit_length())
        return _points(points[start : self._asked], self.dimensions)


@final
class Random(_Deaf):
    """Independent, uniformly distributed points."""

    def __init__(self, dimensions: int, seed: int = 0) -> None:
        import numpy

        super().__init__(dimensions, seed)
        self._generator = numpy.random.default_rng(seed)

    def ask(self, number: int) -> list[Point]:
        """Return *number* new points."""
        check_count("number", number)
        points = self._generator.random((number, _columns(self.dimensions)))
        return _points(points, self.dimensions)


@final
class Grid(_Deaf):
    """Every combination of evenly spaced levels, both ends among them; there is no chance in it."""

    def ask(self, number: int) -> list[Point]:
        """Return a grid of *number* points in all, the same whenever it is asked for.

        The number is split into factors as equal as can be, the largest for the first dimension; a
        dimension with a single level has it in the middle.
        """
        check_count("number", number)
        return list(product(*map(_evenly, _levels(number, self.dimensions))))


@final
class Bayesian(Sampler):
    """Bayesian optimization by optuna's tree-structured Parzen estimator.

    Points that are asked for together, before any of them is told, keep away from each other.
    Needs the extra ``tune``; MissingPackage without it. Source: Bergstra et al. 2011.
    """

    learns = True

    def __init__(self, dimensions: int, seed: int = 0) -> None:
        super().__init__(dimensions, seed)
        optuna = _optuna()
        every = optuna.distributions.FloatDistribution(0.0, 1.0)
        self._space = {f"x{number}": every for number in range(dimensions)}
        chooser = optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True)
        self._study = _silent_study(optuna, chooser)
        self._waiting: dict[Point, list[Any]] = {}

    def ask(self, number: int) -> list[Point]:
        """Return the next *number* points, chosen from all that was told so far."""
        check_count("number", number)
        return [self._next() for _ in range(number)]

    def tell(self, point: Point, loss: float) -> None:
        """Say what came out at a *point* that was asked for; NaN counts as an infinite loss."""
        trials = self._waiting.get(tuple(point))
        if not trials:
            raise BadValue(f"the point {tuple(point)} was not asked for, or it was told already.")
        self._study.tell(trials.pop(0), math.inf if math.isnan(loss) else float(loss))

    def _next(self) -> Point:
        trial = self._study.ask(self._space)
        point: Point = tuple(trial.params[name] for name in self._space)
        self._waiting.setdefault(point, []).append(trial)
        return point


samplers: dict[str, type[Sampler]] = {
    "sobol": Sobol, "random": Random, "grid": Grid, "bayesian": Bayesian,
}  # fmt: skip
"""Every sampler by its name."""


def sampler(name: str, dimensions: int, seed: int = 0) -> Sampler:
    """Return the sampler of that name for points of so many *dimensions*.

    Raises UnknownName with the nearest name, BadValue or BadType for the numbers, MissingPackage
    where ``bayesian`` is not installed.
    """
    if name not in samplers:
        raise UnknownName(
            f"there is no sampler {name!r}.{nearest(str(name), samplers)} Known samplers: "
            f"{', '.join(samplers)}."
        )
    return samplers[name](dimensions, seed)


def _columns(dimensions: int) -> int:
    """Return how many numbers are drawn for a point, whose first ones are used."""
    return max(dimensions, 64)


def _points(rows: Any, dimensions: int) -> list[Point]:
    return [tuple(row) for row in rows[:, :dimensions].tolist()]


def _evenly(count: int) -> list[float]:
    return [index / (count - 1) for index in range(count)] if count > 1 else [0.5]


def _levels(number: int, dimensions: int) -> list[int]:
    levels = [1] * dimensions
    for factor in sorted(_prime_factors(number), reverse=True):
        levels[levels.index(min(levels))] *= factor
    return sorted(levels, reverse=True)


def _prime_factors(number: int) -> Iterator[int]:
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            yield divisor
            number //= divisor
        divisor += 1
    if number > 1:
        yield number


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingPackage(
            f"Bayesian optimization is done by the package optuna, which cannot be imported "
            f"({error}). Install it: pip install 'thalweg[tune]'."
        ) from error
    return optuna


def _silent_study(optuna: Any, chooser: Any) -> Any:
    """Return a new study in memory, without the line that optuna writes about it."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(sampler=chooser)
    finally:
        optuna.logging.set_verbosity(verbosity)
