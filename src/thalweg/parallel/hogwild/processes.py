"""Hogwild! for any module: processes that update one model in shared memory, without locks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue
from thalweg.optim import Optimizer
from thalweg.parallel.hogwild.workers import Job, Workers, spawned
from thalweg.problems import Split
from thalweg.problems.checks import check_batch, check_data, check_model
from thalweg.rules import Rule
from thalweg.training import Epoch, evaluate
from thalweg.training.data.forms import Examples, Rows, as_data


@dataclass(frozen=True, eq=False)
class HogwildResult:
    """A training by several processes: its history, as `thalweg.fit` writes it, and its rates.

    *rates* are the learning rates of the epochs, where the rule has one. *updates* counts those of
    each worker. The state in *optimizer* is what the workers shared.
    """

    model: nn.Module
    optimizer: Optimizer
    history: tuple[Epoch, ...]
    rates: tuple[float, ...]
    updates: tuple[int, ...]
    diverged: bool


def hogwild_fit(
    model: nn.Module, rule: Rule | str, loss: Callable[[Any, Any], Tensor], train: Any,
    valid: Any = None, *, batch: int = 32, epochs: int = 1, workers: int = 2,
    back_off: float = 0.9, seed: int = 0, timeout: float = 120.0, **hyper: float,
) -> HogwildResult:  # fmt: skip
    """Train *model* in place by *workers* processes that share its parameters and the rule's state.

    *train* and *valid* are pairs (inputs, targets) of tensors or arrays, or a `Dataset`. In every
    epoch each worker takes its part of the shuffled examples, *batch* at a time, and writes its
    updates into the shared memory as if it were alone. Sparse gradients touch only their rows, and
    there Hogwild! is at home; where gradients are dense, workers overwrite each other often.
    Between epochs the learning rate is multiplied by *back_off*. *hyper* are the rule's
    hyperparameters, numbers. *seed* fixes the order of the data, and for each worker its own random
    numbers; the result still depends on who was faster.

    Processes are spawned: the model's class and the loss must stand at the top of a module, and a
    script's call under ``if __name__ == "__main__":``. Raises BadValue, BadType or UnknownName
    before any process starts for what cannot work, and WorkerLost when a worker dies, fails, or is
    not heard of for *timeout* seconds; the model then holds the updates made so far.

    Source: Recht, Ré, Wright & Niu 2011, Hogwild!, arXiv 1106.5730.
    """
    _check_numbers(batch, epochs, workers, back_off, seed, timeout)
    data = _checked_data(model, loss, train, valid)
    check_batch(batch, len(data))
    if workers > len(data):
        raise BadValue(f"workers={workers} are more than the {len(data):,} examples there are.")
    optimizer = _shared_optimizer(model, rule, hyper)
    job = Job(model, optimizer, loss, data, batch, workers, seed)
    training = _Training(job, valid, back_off, timeout)
    with spawned(job) as spawn:
        spawn.reports(timeout)
        while len(training.history) < epochs and not training.diverged:
            training.epoch(spawn)
    return training.result()


def _check_numbers(
    batch: Any, epochs: Any, workers: Any, back_off: Any, seed: Any, timeout: Any
) -> None:
    for name, value, low in (("epochs", epochs, 1), ("workers", workers, 1), ("seed", seed, 0)):
        check_count(name, value, low)
    check_batch(batch, None)
    check_number("timeout", timeout, 0.0)
    check_number("back_off", back_off, 0.0)
    if back_off > 1 or back_off == 0 or timeout == 0:
        raise BadValue(
            f"back_off={back_off!r} and timeout={timeout!r}; expected a factor above 0 and at most "
            "1, and seconds above 0."
        )


def _checked_data(model: Any, loss: Any, train: Any, valid: Any) -> Examples:
    """Return the training set as examples by number, after a look at all that was given."""
    if not isinstance(model, nn.Module):
        raise BadType(f"model is {model!r:.60}; expected a module.")
    away = {str(p.device) for p in model.parameters() if p.device.type != "cpu"}
    if away:
        raise BadValue(f"the model is on {', '.join(away)}; processes share the memory of the cpu.")
    for name, part in (("train", train), ("valid", valid)):
        if part is not None:
            found = as_data(part)
            shown = Split(found.inputs, found.targets) if isinstance(found, Rows) else part
            check_data(shown, name)
            check_model(model, loss, shown, name)
    data = as_data(train)
    if not isinstance(data, Examples):
        raise BadType(
            "train yields batches of its own, which workers cannot divide; pass a pair (inputs, "
            "targets) or a Dataset."
        )
    return data


def _shared_optimizer(model: nn.Module, rule: Rule | str, hyper: dict[str, Any]) -> Optimizer:
    """Return an optimizer whose parameters and state, begun here, lie in shared memory."""
    for name, value in hyper.items():
        check_number(name, value)
    optimizer = Optimizer(model.parameters(), rule, **hyper)
    model.share_memory()
    settings = {name: optimizer.defaults[name] for name in optimizer.rule.hyperparameters}
    for p in model.parameters():
        if p.requires_grad:
            p.grad = None
            state = {"step": torch.tensor(0.0), **optimizer.rule.init(p.detach(), **settings)}
            optimizer.state[p] = {name: each.share_memory_() for name, each in state.items()}
    return optimizer


@dataclass
class _Training:
    """The epochs so far."""

    job: Job
    valid: Any
    back_off: float
    timeout: float
    history: list[Epoch] = field(default_factory=list)
    updates: np.ndarray | int = 0
    diverged: bool = False

    def epoch(self, workers: Workers) -> None:
        """Run one epoch and write down what came of it."""
        number, start = len(self.history), time.perf_counter()
        workers.ask(number, self.back_off**number)
        reports = workers.reports(self.timeout)
        seconds = time.perf_counter() - start
        self.updates = self.updates + np.array([each.updates for each in reports])
        examples = sum(each.examples for each in reports)
        running = sum(each.loss for each in reports) / examples
        self.diverged = not np.isfinite(running)
        self.history.append(self._line(number + 1, examples, running, seconds))

    def _line(self, number: int, examples: int, running: float, seconds: float) -> Epoch:
        job, loss, accuracy = self.job, None, None
        if self.valid is not None:
            loss, accuracy = evaluate(job.model, job.loss, self.valid)
        updates = int(np.sum(self.updates))
        return Epoch(
            number, updates, number * examples, running, None, loss, accuracy, seconds
        )  # fmt: skip

    def result(self) -> HogwildResult:
        """Return what was written down."""
        settings = self.job.optimizer.defaults
        numbers = range(len(self.history)) if "lr" in settings else ()
        return HogwildResult(
            self.job.model, self.job.optimizer, tuple(self.history),
            tuple(settings["lr"] * self.back_off**number for number in numbers),
            tuple(int(each) for each in np.atleast_1d(self.updates)), self.diverged,
        )  # fmt: skip
