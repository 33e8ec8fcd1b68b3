"""`watch`: one line beside a training loop, and a report at its end."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.arguments import check_number
from thalweg.doctor import words
from thalweg.doctor.diagnosis import Diagnosis, diagnose
from thalweg.doctor.evidence import Costs, Evidence, FailedProbe, Kind, Probe
from thalweg.doctor.finding import Finding
from thalweg.doctor.watching import taps
from thalweg.doctor.watching.budget import Budget
from thalweg.doctor.watching.log import Log
from thalweg.doctor.watching.losses import Losses
from thalweg.doctor.watching.probe import Prober
from thalweg.doctor.watching.survey import survey_model, survey_optimizer, unwrapped
from thalweg.errors import BadType

KEPT = 256
"""How many probes are kept; when there are more, every second is let go, but not the first."""


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
        self._model, self._optimizer, self._loss_fn = model, optimizer, loss_fn
        self._log, self._losses = Log(), Losses()
        self._updates, self._examples, self._training = 0, 0, True
        self._facts = survey_model(model, optimizer), survey_optimizer(model, optimizer)
        self._prober, self._budget = Prober(unwrapped(model)[0], optimizer), Budget(overhead)
        self._probes: list[Probe] = []
        self._failed: dict[str, FailedProbe] = {}
        self._begun = self._last = perf_counter()
        self._watching, self._probing, self._ended = 0.0, 0.0, 0.0
        self._attach()
        self._plan()

    def _attach(self) -> None:
        self._hooks = [
            self._model.register_forward_pre_hook(_weakly(self._forward), with_kwargs=True),
            self._optimizer.register_step_pre_hook(_weakly(self._before_step)),
            self._optimizer.register_step_post_hook(_weakly(self._after_step)),
        ]
        if isinstance(self._loss_fn, nn.Module):
            self._hooks.append(self._loss_fn.register_forward_hook(self._losses.called))
        taps.listen(self)

    def _forward(self, module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._training = module.training
        first = next(filter(_is_batch, (*args, *keywords.values())), None)
        self._examples = 0 if first is None else len(first)

    def _before_step(self, *_: Any) -> None:
        if self._prober.armed:
            self._prober.before_step()

    def _after_step(self, *_: Any) -> None:
        begun = perf_counter()
        self._updates += 1
        self._record(begun, skipped=False)
        self._watching += perf_counter() - begun
        if self._prober.armed:
            self._finish_probe()
        self._plan()

    def _finish_probe(self) -> None:
        probe = self._prober.after_step(self._updates)
        if probe is None or self._prober.failure:
            self._failed["first order"] = FailedProbe("first order", self._prober.failure)
        else:
            self._probes.append(probe)
        if len(self._probes) > KEPT:
            self._probes[1:-1] = self._probes[1:-1:2]
        self._watching += self._prober.seconds
        self._budget.spent(self._prober.seconds)
        self._prober.disarm()

    def _plan(self) -> None:
        """Let the next update be probed if it can be afforded."""
        if self._budget.affords(perf_counter() - self._begun, self._watching):
            self._prober.arm()

    def _record(self, now: float, skipped: bool) -> None:
        loss, backwards = self._losses.taken(self._updates)
        lrs = tuple(_lr(group["lr"]) for group in self._optimizer.param_groups)
        examples = self._examples * max(backwards, 1) or None
        seconds, self._last = now - self._last, now
        row = [self._updates, loss, lrs, examples, backwards, self._training, seconds, skipped]
        self._log.add(row)

    def backward_called(self, loss: Tensor) -> None:
        """Take in a loss (see `taps.Listener`)."""
        self._losses.backward_called(loss)

    def update_skipped(self, optimizer: Any) -> None:
        """Take in an update that a scaler did not take."""
        if optimizer is self._optimizer:
            self._record(perf_counter(), skipped=True)

    @property
    def evidence(self) -> Evidence:
        """All that was seen so far, as plain data."""
        self._losses.end_pass(self._updates)
        model, optimizer = self._facts
        model = replace(model, order=self._prober.order or model.order)
        return Evidence(
            model=model, optimizer=optimizer, steps=self._log.steps(),
            validations=tuple(self._losses.validations), unavailable=self._unavailable(),
            probes=tuple(self._probes), units=self._prober.units(),
            failed=tuple(self._failed.values()),
            costs=Costs(self._last - self._begun, self._watching, self._ended),
        )  # fmt: skip

    def _unavailable(self) -> dict[Kind, str]:
        if self._loss_fn is not None:
            return {}
        kinds: tuple[Kind, ...] = (
            "labels",
            "validation",
            "curvature",
            "noise",
            "gradient check",
            "neighbours",
        )
        return dict.fromkeys(kinds, "not available without loss_fn")

    @property
    def diagnosis(self) -> Diagnosis:
        """What all checks make of the evidence so far."""
        return diagnose(self.evidence)

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found so far, worst first."""
        return self.diagnosis.findings

    def report(self) -> str:
        """Return what was found so far in words, worst first, or that the run is healthy."""
        return words.report(self.diagnosis)

    def close(self) -> None:
        """Take all hooks away; what was seen stays."""
        taps.leave(self)
        self._prober.disarm()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


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


def _weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook that does not keep the watch alive through the model."""
    reference = weakref.WeakMethod(method)

    def hook(*args: Any) -> None:
        alive = reference()
        if alive is not None:
            alive(*args)

    return hook


def _is_batch(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0


def _lr(value: Any) -> float:
    return float(value)
