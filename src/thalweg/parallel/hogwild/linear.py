"""Learns linear models from sparse examples: weights beside their state, and epochs over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import numpy as np

from thalweg.errors import BadValue
from thalweg.kernels.cpu import import_text
from thalweg.parallel.hogwild.crew import Crew, Work
from thalweg.parallel.hogwild.examples import Examples, Measures, visiting_order
from thalweg.parallel.hogwild.losses import CURVATURE, LOSSES
from thalweg.parallel.hogwild.rates import Rates
from thalweg.parallel.hogwild.source import Loops
from thalweg.rules import Rule

_TINY = float(np.finfo(np.float32).tiny)


@lru_cache(maxsize=64)
def linear_loops(rule: Rule, loss: str, dtype: str, index: str) -> ModuleType:
    """Return the compiled loops of a rule and a loss for these types of numbers and of indices."""
    text = Loops(rule, dtype, index).linear(LOSSES[loss])
    return import_text(text, f"hogwild_{rule.key}_{loss}_{dtype}")


@dataclass
class Weights:
    """One linear model: a row for each column of the examples, and the intercept's last.

    A row holds the weight, the rule's state, and how strongly L2 pulls at the weight when an
    example touches it. *scalars* are the rule's numbers for all weights, *clock* the examples seen.
    """

    table: np.ndarray
    scalars: np.ndarray
    clock: int = 0

    @property
    def coefficients(self) -> np.ndarray:
        """A copy of the weights without the intercept."""
        return self.table[:-1, 0].copy()

    @property
    def intercept(self) -> Any:
        """The weight that every example touches."""
        return self.table[-1, 0]


@dataclass
class LinearModel:
    """What is to be minimized, and by which rule: the mean loss and alpha / 2 times the squares.

    An example pulls only at the weights that it touches, and at a weight that one in n examples
    touches n times as strongly (Recht et al. 2011), so that an epoch's pulls add up to the L2 term.
    """

    rule: Rule
    alpha: float
    has_intercept: bool
    rates: Rates

    def begin(self, width: int, dtype: Any) -> Weights:
        """Return weights of zero, with the state that the rule begins with."""
        p = np.zeros(width + 1, dtype)
        state = self.rule.init(p, **self.rates.settings)
        columns = [p, *(each for each in state.values() if each.ndim), p]
        scalars = [float(each) for each in state.values() if not each.ndim]
        return Weights(np.stack(columns, axis=1), np.array(scalars, np.float64))


@dataclass
class Task:
    """A model to be learned from examples, of which *importance* says how much each counts.

    Epochs visit them in an order that *random* draws, or as they stand where it is None.
    """

    model: LinearModel
    loops: ModuleType
    examples: Examples
    measures: Measures
    importance: np.ndarray
    random: np.random.RandomState | None

    def epoch(self, crew: Crew, weights: Weights, targets: np.ndarray, number: int) -> float:
        """Visit every example once; return the mean loss that the weights had before each visit."""
        model, hypers = self.model, self.model.rates.at(number)
        weights.table[:-1, -1] = self._pull(hypers.get("lr"))
        work = self._work(weights, targets, np.array(list(hypers.values()), np.float64))
        total = crew.epoch(work)
        weights.clock = work.clock
        mean = total / len(self.examples)
        if not (np.isfinite(mean) and np.isfinite(weights.table).all()):
            raise BadValue(
                f"{model.rule.name} diverged: the weights are no longer finite. Scale the columns "
                "of X to a similar size, or set eta0 lower."
            )
        return mean

    def _pull(self, lr: float | None) -> np.ndarray:
        """Return the factor by which L2 adds a weight to its gradient, for each column.

        It makes up for the examples between: a step of SGD multiplies the weight by
        exp(-lr alpha / share of examples that touch it), which never overshoots.
        """
        counts = np.maximum(self.measures.counts, 1)
        owed = self.model.alpha * len(self.examples) / counts
        return owed if not lr else -np.expm1(-lr * owed) / lr

    def _work(self, weights: Weights, targets: np.ndarray, hypers: np.ndarray) -> Work:
        examples, table = self.examples, weights.table
        order = self._order()
        loop = partial(
            self.loops.linear, examples.starts, examples.columns, examples.values,
            targets, self.importance, order, self.model.has_intercept,
        )  # fmt: skip
        return Work(
            loop, self.loops.merge, table, weights.scalars, hypers, weights.clock, len(examples),
            len(examples.columns) / len(examples) or 1.0,
            lambda first, last: examples.entries(order[first:last]),
            self.measures.load, weights=1, kept=table.shape[1] - 1,
        )  # fmt: skip

    def _order(self) -> np.ndarray:
        count = len(self.examples)
        if self.random is None:
            return np.arange(count, dtype=np.uint32)
        return visiting_order(count, len(self.examples.columns), self.random)


def steady_rate(loss: str, length: float) -> float:
    """Return the rate at which SGD corrects an example of squared *length* and does not overshoot.

    It is 1 / (L R²), for a loss that bends by at most L (Bach & Moulines 2013).
    """
    return 1.0 / (CURVATURE[loss] * max(length, _TINY))
