"""Sparse linear models as scikit-learn estimators, learned by threads without locks."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from thalweg.errors import BadValue
from thalweg.parallel.hogwild.crew import Observed
from thalweg.parallel.hogwild.linear_estimator import LinearEstimator
from thalweg.rules import Rule


class HogwildClassifier(ClassifierMixin, LinearEstimator):
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


class HogwildRegressor(RegressorMixin, LinearEstimator):
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
