"""Recommends by matrix factorization: a rating is a user's factors times an item's."""

from __future__ import annotations

from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.kernels.cpu import import_text
from thalweg.parallel.hogwild.crew import Crew, Observed, Work
from thalweg.parallel.hogwild.examples import visiting_order
from thalweg.parallel.hogwild.losses import squared_error
from thalweg.parallel.hogwild.rates import rates_of
from thalweg.parallel.hogwild.settings import check_settings, checked_rule, crew_of
from thalweg.parallel.hogwild.source import Loops
from thalweg.parallel.hogwild.stopping import Stopping
from thalweg.rules import Rule

_BEGINNING = 0.1
"""Standard deviation of the factors before the first rating."""


@lru_cache(maxsize=64)
def rating_loops(rule: Rule) -> ModuleType:
    """Return the compiled loops of a rule for factors of single precision."""
    text = Loops(rule, "float32", "uint32").ratings(squared_error)
    return import_text(text, f"hogwild_{rule.key}_ratings")


class HogwildFactorization:
    """Learn *rank* factors and a bias for each user and item from known ratings.

    The mean squared error of the ratings, scaled to mean 0 and variance 1, is minimized; *alpha*
    times half the squares of the factors and biases that a rating touches is added to its loss.
    *rule*, *eta0*, *back_off*, *tol*, *n_jobs* and what is observed are those of
    `HogwildClassifier`; a rating touches two rows, so threads seldom meet.

    Source: Koren, Bell & Volinsky 2009, Matrix factorization techniques for recommender systems;
    Recht et al. 2011, arXiv 1106.5730.
    """

    def __init__(
        self, rank: int = 16, *, alpha: float = 0.02, max_iter: int = 30,
        tol: float | None = None, n_iter_no_change: int = 5, random_state: int | None = None,
        n_jobs: int | None = None, rule: str | Rule = "sgd", eta0: float | None = 0.05,
        back_off: float = 0.9,
    ) -> None:  # fmt: skip
        self.rank = rank
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.rule = rule
        self.eta0 = eta0
        self.back_off = back_off

    def fit(
        self, users: ArrayLike, items: ArrayLike, ratings: ArrayLike,
        shape: tuple[int, int] | None = None,
    ) -> HogwildFactorization:  # fmt: skip
        """Learn from *ratings* (ratings,) of *items* by *users*, numbers from 0 (ratings,).

        *shape* says how many users and items there are, where some have no rating yet. Raises
        BadValue or BadType for settings or data that cannot work.
        """
        check_settings(self)
        check_count("rank", self.rank)
        users, items = _numbers("users", users), _numbers("items", items)
        values = _values(ratings)
        if not len(users) == len(items) == len(values):
            raise BadValue(
                f"there are {len(users):,} users, {len(items):,} items and {len(values):,} "
                "ratings; each rating needs one of both."
            )
        shape = _shape(shape, users, items)
        self.mean_, self.scale_ = float(values.mean()), float(values.std()) or 1.0
        random = np.random.RandomState(self.random_state)
        mixed = random.permutation(len(values))
        scaled = ((values - self.mean_) / self.scale_).astype(np.float32)
        columns = [each[mixed] for each in (users, items + np.uint32(shape[0]), scaled)]
        table = self._learn(columns, _counts(columns[:2], sum(shape)), random)
        self._keep(table, shape[0])
        return self

    def predict(self, users: ArrayLike, items: ArrayLike) -> np.ndarray:
        """Return the expected rating of each pair (pairs,); of what has no rating yet, the mean."""
        if not hasattr(self, "user_factors_"):
            raise BadValue("nothing is learned yet: call fit(users, items, ratings) first.")
        users, items = _numbers("users", users), _numbers("items", items)
        _check_known("users", users, len(self.user_factors_))
        _check_known("items", items, len(self.item_factors_))
        biases = self.user_biases_[users] + self.item_biases_[items]
        products = np.einsum("pk,pk->p", self.user_factors_[users], self.item_factors_[items])
        return self.mean_ + self.scale_ * (biases + products)

    def _learn(self, columns: list, counts: np.ndarray, random: Any) -> np.ndarray:
        """Return the factors, then the bias, of each user and item."""
        width = self.rank + 1
        p = np.zeros((len(counts), width), np.float32)
        p[:, :-1] = _BEGINNING * random.standard_normal((len(counts), self.rank))
        p[counts == 0] = 0.0
        rule = checked_rule(self.rule)
        rates = rates_of(rule, self.eta0, self.back_off)
        state = rule.init(p, **rates.settings).values()
        table = np.concatenate([p, *(each for each in state if each.ndim)], axis=1)
        scalars = np.array([float(each) for each in state if not each.ndim], np.float64)
        work = self._work(rule, table, scalars, counts)
        stopping = Stopping(self.max_iter, self.tol, self.n_iter_no_change)
        losses: list[float] = []
        with crew_of(self.n_jobs) as crew:
            while not stopping.over(losses):
                work.hypers = np.array(list(rates.at(len(losses)).values()), np.float64)
                losses.append(self._epoch(crew, work, columns, random))
        self._note(crew.observed or Observed(), losses)
        return table[:, :width]

    def _work(self, rule: Rule, table: np.ndarray, scalars: np.ndarray, counts: Any) -> Work:
        loops, examples = rating_loops(rule), int(counts.sum()) // 2
        width = self.rank + 1
        return Work(
            loops.ratings, loops.merge, table, scalars, np.zeros(0), 0, examples, 2.0 * width,
            lambda first, last: 2 * (last - first), counts / (2 * examples), width, table.shape[1],
        )  # fmt: skip

    def _epoch(self, crew: Crew, work: Work, columns: list, random: Any) -> float:
        order = visiting_order(work.examples, 3 * work.examples, random)
        loop = rating_loops(checked_rule(self.rule)).ratings
        work.loop = partial(loop, *columns, order, 0.0, float(self.alpha), self.rank)
        mean = crew.epoch(work) / work.examples
        if not np.isfinite(mean):
            raise BadValue("the factors are no longer finite; set eta0 lower, or alpha higher.")
        return mean

    def _note(self, observed: Observed, losses: list[float]) -> None:
        self.loss_curve_, self.n_iter_ = losses, len(losses)
        self.n_threads_, self.sharing_ = observed.sharing.threads, str(observed.sharing)
        self.speed_up_, self.conflict_rate_ = observed.speed_up, observed.conflict_rate

    def _keep(self, learned: np.ndarray, users: int) -> None:
        self.user_factors_, self.user_biases_ = learned[:users, :-1], learned[:users, -1]
        self.item_factors_, self.item_biases_ = learned[users:, :-1], learned[users:, -1]


def _numbers(name: str, given: ArrayLike) -> np.ndarray:
    """Return numbers of users or items as 32-bit unsigned integers."""
    found = np.asarray(given)
    if found.ndim != 1 or (found.dtype.kind not in "iu" and len(found)):
        raise BadType(
            f"{name} has shape {found.shape} and type {found.dtype}; expected whole numbers from "
            "0, one for each rating. np.unique(..., return_inverse=True) makes them of names."
        )
    if not len(found):
        raise BadValue(f"{name} is empty; give at least one.")
    if found.min() < 0 or found.max() >= 2**31:
        raise BadValue(
            f"{name} has numbers from {found.min()} to {found.max()}; expected 0 to {2**31 - 1:,}."
        )
    return np.ascontiguousarray(found, np.uint32)


def _values(ratings: ArrayLike) -> np.ndarray:
    found = np.asarray(ratings)
    if found.ndim != 1 or found.dtype.kind not in "fiu":
        raise BadType(
            f"ratings has shape {found.shape} and type {found.dtype}; expected one number each."
        )
    if not np.isfinite(found).all():
        raise BadValue("ratings hold NaN or infinity; leave pairs without a rating out.")
    return found.astype(np.float64)


def _shape(shape: Any, users: np.ndarray, items: np.ndarray) -> tuple[int, int]:
    needed = int(users.max()) + 1, int(items.max()) + 1
    if shape is None:
        return needed
    if len(shape) != 2 or shape[0] < needed[0] or shape[1] < needed[1]:
        raise BadValue(f"shape={shape!r} is too small; the ratings need at least {needed}.")
    return int(shape[0]), int(shape[1])


def _counts(columns: list[np.ndarray], rows: int) -> np.ndarray:
    """Return how many ratings each user and item has."""
    return np.bincount(np.concatenate(columns), minlength=rows)


def _check_known(name: str, numbers: np.ndarray, count: int) -> None:
    if numbers.max() >= count:
        raise BadValue(
            f"{name} has the number {numbers.max()}, but {count:,} were learned; name all with "
            "shape=(users, items) in fit."
        )
