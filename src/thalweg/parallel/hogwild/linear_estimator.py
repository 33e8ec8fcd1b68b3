"""What the sparse linear estimators share: settings, epochs, and what is known after them."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from thalweg.errors import BadValue, UnknownName, nearest
from thalweg.parallel.hogwild.crew import Observed
from thalweg.parallel.hogwild.examples import Examples, Measures, examples_of, measured
from thalweg.parallel.hogwild.linear import (
    LinearModel,
    Task,
    Weights,
    linear_loops,
    steady_rate,
)
from thalweg.parallel.hogwild.rates import rates_of
from thalweg.parallel.hogwild.settings import check_settings, checked_rule, crew_of
from thalweg.parallel.hogwild.stopping import Stopping
from thalweg.rules import Rule, sgd


class LinearEstimator(BaseEstimator, ABC):
    """What both estimators share: settings, epochs, and what is known after them."""

    losses: tuple[str, ...] = ()

    def __init__(
        self, loss: str, *, alpha: float = 1e-4, fit_intercept: bool = True, max_iter: int = 1000,
        tol: float | None = 1e-3, n_iter_no_change: int = 5, shuffle: bool = True,
        random_state: Any = None, n_jobs: int | None = None, rule: str | Rule = "sgd",
        eta0: float | None = None, back_off: float = 0.8,
    ) -> None:  # fmt: skip
        self.loss = loss
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.shuffle = shuffle
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.rule = rule
        self.eta0 = eta0
        self.back_off = back_off

    def __sklearn_tags__(self) -> Any:
        """Say that sparse matrices are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Learn from rows *X* (examples, features), dense or sparse, and targets *y* (examples,).

        Raises BadValue, BadType or UnknownName for settings or data that cannot work.
        """
        self._check_settings()
        X, y = self._checked(X, y, reset=True)
        self._note_targets(y)
        self._forget()
        stopping = Stopping(self.max_iter, self.tol, self.n_iter_no_change)
        self._learn(X, self._targets(y), sample_weight, stopping)
        return self

    def _learn_once(self, X: Any, y: Any, sample_weight: Any) -> Any:
        """Make one pass over the examples, beginning where the last one ended."""
        self._learn(X, self._targets(y), sample_weight, Stopping(1, None, 1))
        return self

    def _forget(self) -> None:
        self._weights: list[Weights] = []
        self._lr: float | None = None
        self._observed: Observed | None = None
        self.t_ = 1.0

    @abstractmethod
    def _note_targets(self, y: np.ndarray) -> None:
        """Look at the targets before the first epoch."""

    @abstractmethod
    def _targets(self, y: np.ndarray) -> list[np.ndarray]:
        """Return what the output of each linear model is to be."""

    def _check_settings(self) -> None:
        """Refuse what cannot work, before anything is learned."""
        if self.loss not in self.losses:
            raise UnknownName(
                f"loss={self.loss!r}; expected one of {', '.join(self.losses)}."
                f"{nearest(str(self.loss), self.losses)}"
            )
        check_settings(self)

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, np.ndarray]:
        kinds = [np.float64, np.float32]
        return validate_data(
            self, X, y, accept_sparse="csr", dtype=kinds, reset=reset, order="C",
            y_numeric=isinstance(self, RegressorMixin), multi_output=False,
        )  # fmt: skip

    def _learn(self, X: Any, targets: list, sample_weight: Any, stopping: Stopping) -> None:
        importance = _importance(sample_weight, X)
        examples = examples_of(X if sparse.issparse(X) else sparse.csr_matrix(X))
        task = self._task(examples, importance)
        if not self._weights:
            self._weights = [task.model.begin(examples.width, X.dtype) for _ in targets]
        with crew_of(self.n_jobs) as crew:
            crew.observed = self._observed
            histories = [
                self._epochs(partial(task.epoch, crew, weights, goal.astype(X.dtype)), stopping)
                for weights, goal in zip(self._weights, targets, strict=True)
            ]
        self._note(crew.observed, histories, len(examples))

    def _task(self, examples: Examples, importance: np.ndarray) -> Task:
        rule, kind = checked_rule(self.rule), str(examples.values.dtype)
        loops = linear_loops(rule, self.loss, kind, examples.index)
        measures = measured(loops, examples, bool(self.fit_intercept))
        rates = rates_of(rule, self._rate(rule, measures), self.back_off)
        model = LinearModel(rule, float(self.alpha), bool(self.fit_intercept), rates)
        random = check_random_state(self.random_state) if self.shuffle else None
        return Task(model, loops, examples, measures, importance, random)

    def _outputs(self, X: Any) -> np.ndarray:
        """Return what the linear models say of each row (examples, models)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        return np.asarray(X @ np.atleast_2d(self.coef_).T + self.intercept_)

    def _rate(self, rule: Rule, measures: Measures) -> float | None:
        """Return the first rate: as set, for SGD by the length of the examples, else the rule's."""
        if self.eta0 is None and rule.outputs is sgd.outputs:
            self._lr = self._lr or steady_rate(self.loss, measures.length)
            return self._lr
        return self.eta0

    def _epochs(self, epoch: Any, stopping: Stopping) -> list[float]:
        losses: list[float] = []
        while not stopping.over(losses):
            losses.append(epoch(len(losses)))
        if stopping.tol is not None and not stopping.converged(losses):
            warnings.warn(
                f"the loss was still falling after max_iter={stopping.epochs} epochs; raise "
                "max_iter or eta0.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return losses

    def _note(self, observed: Observed | None, histories: list, examples: int) -> None:
        """Keep what was learned and observed under scikit-learn's names."""
        self._observed = observed
        found = observed or Observed()
        self.coef_ = np.stack([each.coefficients for each in self._weights])
        self.intercept_ = np.array([each.intercept for each in self._weights])
        self.loss_curve_ = histories[0] if len(histories) == 1 else histories
        self.n_iter_ = max(map(len, histories))
        self.t_ += self.n_iter_ * examples
        self.n_threads_, self.sharing_ = found.sharing.threads, str(found.sharing)
        self.speed_up_, self.conflict_rate_ = found.speed_up, found.conflict_rate


def _importance(sample_weight: Any, X: Any) -> np.ndarray:
    """Return how much each row counts (examples,), of the type of *X*."""
    if sample_weight is None:
        return np.ones(X.shape[0], X.dtype)
    found = check_array(sample_weight, ensure_2d=False, dtype=X.dtype, input_name="sample_weight")
    if found.ndim != 1:
        raise BadValue(f"sample_weight has {found.ndim} dimensions; expected one number a row.")
    check_consistent_length(X, found)
    if found.min(initial=0) < 0 or not found.any():
        raise BadValue(
            "sample_weight has negative numbers, or is zero everywhere; expected numbers of at "
            "least 0, and one above."
        )
    return np.ascontiguousarray(found)
