"""Sparse linear models as scikit-learn estimators, learned by threads without locks."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
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


class _Hogwild(BaseEstimator, ABC):
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


class HogwildClassifier(ClassifierMixin, _Hogwild):
    """A linear classifier of sparse examples, one against the rest where there are many classes.

    *loss* is ``log_loss`` (logistic regression), ``hinge`` (a support vector machine) or
    ``squared_error``; *alpha* times half the sum of the squared weights is added to its mean.
    *rule* is any rule that works element by element, by name or as an object. The rate begins at
    *eta0* and is *back_off* times lower in each epoch; None is the rule's own rate, and for SGD the
    largest at which a step does not overshoot. Training stops after *max_iter* epochs, or when
    *n_iter_no_change* of them did not lower the loss by *tol*.

    *n_jobs* None takes as many threads as a probe in the first epoch finds faster, a number takes
    so many, -1 one for each processor. With one thread, and a *random_state*, the result is the
    same to the bit. Afterwards ``n_threads_``, ``sharing_`` (``shared`` weights or ``copies``),
    ``speed_up_`` over one thread and ``conflict_rate_``, the share of updates that another thread
    overwrote, say what was observed.

    Source: Recht, Ré, Wright & Niu 2011, Hogwild!, arXiv 1106.5730.
    """

    losses = ("log_loss", "hinge", "squared_error")

    def __init__(
        self, loss: str = "log_loss", *, alpha: float = 1e-4, fit_intercept: bool = True,
        max_iter: int = 1000, tol: float | None = 1e-3, n_iter_no_change: int = 5,
        shuffle: bool = True, random_state: Any = None, n_jobs: int | None = None,
        rule: str | Rule = "sgd", eta0: float | None = None, back_off: float = 0.8,
    ) -> None:  # fmt: skip
        super().__init__(
            loss, alpha=alpha, fit_intercept=fit_intercept, max_iter=max_iter, tol=tol,
            n_iter_no_change=n_iter_no_change, shuffle=shuffle, random_state=random_state,
            n_jobs=n_jobs, rule=rule, eta0=eta0, back_off=back_off,
        )  # fmt: skip

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> HogwildClassifier:
        """Make one epoch over some examples; *classes* names all there will be, at the first call.

        The rate stays at *eta0*: set it lower yourself between passes over all data.
        """
        self._check_settings()
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise BadValue("classes must be given at the first call of partial_fit.")
        X, y = self._checked(X, y, reset=first)
        if first:
            self._note_targets(np.asarray(classes))
            self._forget()
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise BadValue(
                f"classes={classes!r} are not those of the first call, {self.classes_.tolist()}."
            )
        return self._learn_once(X, y, sample_weight)

    def _note_targets(self, y: np.ndarray) -> None:
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise BadValue(
                f"y has one class, {self.classes_.tolist()}; a classifier needs at least two."
            )

    def _targets(self, y: np.ndarray) -> list[np.ndarray]:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise BadValue(
                f"y has the classes {unknown.tolist()}, which the first call of partial_fit did "
                f"not name: {self.classes_.tolist()}."
            )
        chosen = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        return [np.where(y == each, 1.0, -1.0) for each in chosen]

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the outputs (examples, classes), of two classes that of the second (examples,)."""
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row (examples,)."""
        outputs = self._outputs(X)
        places = outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        return self.classes_[places.astype(int)]

    def _gives_probabilities(self) -> bool:
        if self.loss != "log_loss":
            raise AttributeError(f"probabilities come with loss='log_loss', not {self.loss!r}.")
        return True

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class (examples, classes), in the order of classes_."""
        shares = expit(self._outputs(X))
        if shares.shape[1] == 1:
            return np.hstack([1 - shares, shares])
        return shares / np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(shares.dtype).tiny)

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of `predict_proba`."""
        return np.log(self.predict_proba(X))


class HogwildRegressor(RegressorMixin, _Hogwild):
    """A linear regression on sparse examples; settings are those of `HogwildClassifier`."""

    losses = ("squared_error",)

    def __init__(
        self, loss: str = "squared_error", *, alpha: float = 1e-4, fit_intercept: bool = True,
        max_iter: int = 1000, tol: float | None = 1e-3, n_iter_no_change: int = 5,
        shuffle: bool = True, random_state: Any = None, n_jobs: int | None = None,
        rule: str | Rule = "sgd", eta0: float | None = None, back_off: float = 0.8,
    ) -> None:  # fmt: skip
        super().__init__(
            loss, alpha=alpha, fit_intercept=fit_intercept, max_iter=max_iter, tol=tol,
            n_iter_no_change=n_iter_no_change, shuffle=shuffle, random_state=random_state,
            n_jobs=n_jobs, rule=rule, eta0=eta0, back_off=back_off,
        )  # fmt: skip

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> HogwildRegressor:
        """Make one epoch over some examples, at the rate *eta0*."""
        self._check_settings()
        first = not hasattr(self, "coef_")
        X, y = self._checked(X, y, reset=first)
        if first:
            self._forget()
        return self._learn_once(X, y, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """Return the expected target of each row (examples,)."""
        return self._outputs(X).ravel()

    def _note_targets(self, y: np.ndarray) -> None:
        """Take any numbers."""

    def _targets(self, y: np.ndarray) -> list[np.ndarray]:
        return [y]

    def _note(self, observed: Observed | None, histories: list, examples: int) -> None:
        super()._note(observed, histories, examples)
        self.coef_ = self.coef_[0]


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
