"""`examine`: train a problem briefly under watch, and say what is wrong with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, final

from torch import Tensor, nn

from thalweg import problems, rules
from thalweg.arguments import check_number
from thalweg.doctor import words
from thalweg.doctor.diagnosis import Diagnosis, diagnose
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.watching.hearing import our_own
from thalweg.doctor.watching.session import Watch
from thalweg.optim import Optimizer
from thalweg.problems import Problem, own_gradient
from thalweg.training import Epoch, Settings, Strategy, fit, randomness
from thalweg.training.threads import threads

OVERHEAD, AT_EXIT = 0.5, 10.0
"""A training that is only there to be examined may be watched more closely than one's own."""


@final
@dataclass(frozen=True)
class Examination:
    """A brief training of a problem: its settings, what was seen of it, and what that means."""

    problem: str
    settings: Settings
    evidence: Evidence
    diagnosis: Diagnosis

    def report(self) -> str:
        """Return the diagnosis in words."""
        return words.report(self.diagnosis)


def examine(
    problem: str | Problem, *, rule: str | None = None, lr: float | None = None,
    epochs: int | None = None, seed: int = 0, seconds: float = 20.0,
) -> Examination:  # fmt: skip
    """Train a problem, or a problem file, under watch, and return what was found.

    *rule* and *lr* are the problem's usual ones unless given, as in `train_problem`. Without
    *epochs* the training ends after the epoch in which *seconds* are over, or with the problem's
    own number of epochs. Nothing is recorded. The seed fixes the random numbers of this process.

    Raises UnknownName, BadValue, BadType or BadFile before the first update for what cannot work.
    """
    check_number("seconds", seconds, 0)
    loaded = problems.load(problem) if isinstance(problem, str) else problem
    settings = Settings(rule=rule, lr=lr, epochs=epochs, seed=seed).completed(loaded)
    strategies = [] if epochs else [Enough(seconds)]
    with our_own(), threads(loaded.threads):
        evidence = _watched(loaded, settings, strategies)
    return Examination(loaded.name, settings, evidence, diagnose(evidence))


def _watched(problem: Problem, settings: Settings, strategies: Sequence[Strategy]) -> Evidence:
    randomness.seed(settings.seed or 0)
    model = problem.make_model(settings.seed or 0)
    hyper: dict[str, Any] = dict(settings.hyper or {})
    rule = rules.find(settings.rule or "adamw")
    optimizer = Optimizer(model.parameters(), rule, lr=settings.lrs[0], **hyper)
    loss = problem.loss if own_gradient(problem.loss) else _as_module(problem.loss)
    with Watch(model, optimizer, loss, overhead=OVERHEAD, at_exit=AT_EXIT) as watch, _silence():
        fit(
            model, optimizer, loss, problem.train, problem.validation,
            batch=settings.batch or 1, epochs=settings.epochs or 1, seed=settings.seed or 0,
            watch=0, strategies=strategies,
        )  # fmt: skip
    return watch.evidence


@contextmanager
def _silence() -> Iterator[None]:
    """Let training not warn: the findings say what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@final
class Enough(Strategy):
    """Ends a training after the epoch in which so many seconds are over."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._begun = seconds, perf_counter()

    def after_epoch(self, training: Any, epoch: Epoch) -> str | None:
        """See `Strategy`."""
        over = perf_counter() - self._begun > self._seconds
        return f"{self._seconds:g} seconds are over" if over else None


def _as_module(loss: Callable[..., Any]) -> nn.Module:
    return loss if isinstance(loss, nn.Module) else FunctionLoss(loss)


@final
class FunctionLoss(nn.Module):
    """A loss that is a plain function, as a module whose every call is seen."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss."""
        return self.function(scores, targets)
