"""`watch`: one line beside a training loop, and a report at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import nn

from thalweg.arguments import check_number
from thalweg.doctor import words
from thalweg.doctor.diagnosis import Diagnosis, diagnose
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding
from thalweg.doctor.owed import Settled
from thalweg.doctor.watching.gather import gather, settled
from thalweg.doctor.watching.observer import Observer
from thalweg.doctor.watching.survey import innermost, survey_model, survey_optimizer
from thalweg.errors import BadType, BadValue
from thalweg.training.parts import check_optimized


class Watch:
    """Watches one model and its optimizer from when it is made until it is closed.

    ``with thalweg.watch(model, optimizer, loss_fn) as watch:`` stands around a training loop that
    stays as it is; ``print(watch.report())`` says what is wrong with it, or that it is healthy.

    *loss_fn* is the module or function that makes the loss of the model's output and the targets.
    Without it the loss is seen where ``backward`` is called, and what needs it as a function is
    left out. *overhead* is the share of the training's time that watching may take; *at_exit* are
    the seconds that may be spent on what is still owed when the report is asked for.

    Watching changes nothing: the weights, the random numbers and the loop's results are those of
    a run that nobody watches. Raises BadType or BadValue for what it cannot watch.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer,
        loss_fn: Callable[..., Any] | None = None, *, overhead: float = 0.03, at_exit: float = 2.0,
    ) -> None:  # fmt: skip
        _check(model, optimizer, loss_fn)
        check_number("overhead", overhead, 0)
        check_number("at_exit", at_exit, 0)
        self.overhead, self.at_exit = overhead, at_exit
        optimizer = innermost(optimizer)
        check_optimized(model, optimizer)
        self._facts = survey_model(model, optimizer), survey_optimizer(model, optimizer)
        self._seen = Observer(model, optimizer, loss_fn, overhead)
        self._owed, self._settled_at, self._ending = Settled(), 0, 0.0
        self._seen.attach()

    @property
    def evidence(self) -> Evidence:
        """All that was seen so far, as plain data; what is still owed is measured first."""
        self._settle()
        return gather(self._seen, self._facts, self._owed, self._ending)

    def _settle(self) -> None:
        """Measure what is owed and look for schedulers, once after the newest update."""
        if self._settled_at < self._seen.updates:
            self._settled_at = self._seen.updates
            self._seen.look_around()
            seconds = 0.0 if self._seen.rank else self.at_exit
            self._owed = self._seen.attempt("the end", settled, self._seen, seconds) or Settled()
            self._ending += self._owed.seconds

    @property
    def diagnosis(self) -> Diagnosis:
        """What all checks make of the evidence so far."""
        return diagnose(self.evidence)

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found so far, worst first."""
        return self.diagnosis.findings

    def report(self) -> str:
        """Return what was found so far in words, worst first, or that the run is healthy.

        Of the processes of a parallel model only the first reports; the others say which does.
        """
        if rank := self._seen.rank:
            return f"Process {rank} does not report; process 0 does."
        return words.report(self.diagnosis)

    def close(self) -> None:
        """Take all hooks away, and measure what is owed; what was seen stays."""
        self._seen.detach()
        self._settle()

    def __enter__(self) -> Watch:
        if not self._seen.attached:
            raise BadValue("The watch is closed; expected one that is open: make a new one.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._seen.detach()
        if error is None:
            self._settle()


def _check(model: Any, optimizer: Any, loss_fn: Any) -> None:
    if not isinstance(model, nn.Module):
        raise BadType(f"model is {type(model).__name__}; expected a torch.nn.Module.")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise BadType(f"optimizer is {type(optimizer).__name__}; expected a torch.optim.Optimizer.")
    if loss_fn is not None and not callable(loss_fn):
        raise BadType(
            f"loss_fn is {type(loss_fn).__name__}; expected a module or function of the model's "
            "output and the targets, or None."
        )
