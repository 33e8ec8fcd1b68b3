"""Hogwild! for any module: processes that update one model in shared memory, without locks."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
import torch
import torch.multiprocessing
from torch import Tensor, nn

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue, ThalwegError
from thalweg.optim import Optimizer
from thalweg.problems import Split
from thalweg.problems.checks import check_batch, check_data, check_model
from thalweg.rules import Rule
from thalweg.training import Epoch, evaluate
from thalweg.training.data.forms import Examples, Rows, as_data
from thalweg.training.data.order import generator_of

_SIGN_OF_LIFE = 0.5
"""Seconds after which a worker that is in the middle of an epoch says that it is."""


class WorkerLost(ThalwegError, RuntimeError):
    """A worker died, failed, or was not heard of in time; the others were ended."""


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
    job = _Job(model, optimizer, loss, data, batch, workers, seed)
    training = _Training(job, valid, back_off, timeout)
    with _spawned(job) as crew:
        while len(training.history) < epochs and not training.diverged:
            training.epoch(crew)
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


@dataclass(frozen=True)
class _Report:
    """What a worker did in an epoch so far."""

    loss: float = 0.0
    examples: int = 0
    updates: int = 0
    over: bool = False


@dataclass
class _Job:
    """What every worker needs to know."""

    model: nn.Module
    optimizer: Optimizer
    loss: Callable[[Any, Any], Tensor]
    data: Examples
    batch: int
    workers: int
    seed: int

    def epoch(self, worker: int, number: int, factor: float) -> Iterator[_Report]:
        """Make the updates of one worker's part of an epoch; yield after each what was done."""
        mixed = np.random.SeedSequence((self.seed, number, worker)).generate_state(1)
        torch.manual_seed(int(mixed[0]))
        rates = [group.get("lr") for group in self.optimizer.param_groups]
        self._set_rates([rate and rate * factor for rate in rates])
        order = torch.randperm(len(self.data), generator=generator_of(self.seed, number))
        total, examples = 0.0, 0
        for count, part in enumerate(order[worker :: self.workers].split(self.batch), 1):
            total += self._update(part) * len(part)
            examples += len(part)
            yield _Report(total, examples, count)
        self._set_rates(rates)
        yield _Report(total, examples, count, over=True)

    def _set_rates(self, rates: list[Any]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if rate is not None:
                group["lr"] = rate

    def _update(self, part: Tensor) -> float:
        inputs, targets = self.data.take(part)
        self.optimizer.zero_grad()
        value = self.loss(self.model(inputs), targets)
        value.backward()
        self.optimizer.step()
        return float(value.detach())


def _work(job: _Job, worker: int, pipe: Connection) -> None:
    """Run one epoch after the other as they are asked for, until None is, or nobody asks."""
    torch.set_num_threads(1)
    try:
        job.model.train()
        pipe.send(_Report())
        while (asked := pipe.recv()) is not None:
            last = time.monotonic()
            for report in job.epoch(worker, *asked):
                if report.over or time.monotonic() > last + _SIGN_OF_LIFE:
                    last = time.monotonic()
                    pipe.send(report)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception:
        pipe.send(traceback.format_exc())


@dataclass
class _Crew:
    """The processes, and the pipes through which they are talked to."""

    processes: list[Any] = field(default_factory=list)
    pipes: list[Any] = field(default_factory=list)

    def ask(self, what: tuple[int, float] | None) -> None:
        """Tell every worker which epoch to run; None ends it."""
        for worker, pipe in enumerate(self.pipes):
            try:
                pipe.send(what)
            except OSError:
                if what is not None:
                    raise self._lost(worker) from None

    def reports(self, timeout: float) -> list[_Report]:
        """Wait until every worker's epoch is over and return what each did."""
        found: dict[int, _Report] = {}
        heard = dict.fromkeys(range(len(self.pipes)), time.monotonic())
        while waiting := [worker for worker in heard if worker not in found]:
            for worker in self._ready(waiting, min(heard[each] for each in waiting) + timeout):
                report = self._received(worker)
                heard[worker] = time.monotonic()
                if report.over:
                    found[worker] = report
            silent = [each for each in waiting if time.monotonic() > heard[each] + timeout]
            if silent:
                raise WorkerLost(
                    f"nothing was heard of worker {silent[0]} for {timeout:g} seconds; all workers "
                    "were ended. Raise timeout if one update may take so long."
                )
        return [found[worker] for worker in sorted(found)]

    def _ready(self, waiting: list[int], until: float) -> list[int]:
        """Return the workers that sent something or ended, after as long a wait as it takes."""
        ends = {self.pipes[each]: each for each in waiting}
        ends |= {self.processes[each].sentinel: each for each in waiting}
        ready = wait(list(ends), timeout=max(0.0, until - time.monotonic()))
        return sorted({ends[each] for each in ready})

    def _received(self, worker: int) -> _Report:
        pipe = self.pipes[worker]
        try:
            said = pipe.recv() if pipe.poll() else None
        except (EOFError, OSError):
            said = None
        if isinstance(said, _Report):
            return said
        raise (
            self._lost(worker)
            if said is None
            else WorkerLost(f"worker {worker} failed, and all workers were ended:\n{said}")
        )

    def _lost(self, worker: int) -> WorkerLost:
        self.processes[worker].join(1.0)
        code = self.processes[worker].exitcode
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
        return WorkerLost(
            f"worker {worker} {how} before its epoch was over; all workers were ended. The model "
            "holds the updates made so far. A script must call hogwild_fit under "
            'if __name__ == "__main__":, because every worker imports it.'
        )

    def close(self) -> None:
        """End every process, by force after a while."""
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(2.0)
            if process.is_alive():
                process.kill()
                process.join()


@contextmanager
def _spawned(job: _Job) -> Iterator[_Crew]:
    """Start the workers of a job, and end them whatever happens."""
    context, crew = torch.multiprocessing.get_context("spawn"), _Crew()
    try:
        for worker in range(job.workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(job, worker, theirs), daemon=True)
            crew.pipes.append(ours)
            try:
                process.start()
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise BadType(
                    f"the model, the loss or the data cannot be sent to another process: {error}. "
                    "Define classes and functions at the top of a module, not inside a function."
                ) from error
            crew.processes.append(process)
            theirs.close()
        yield crew
    finally:
        crew.close()


@dataclass
class _Training:
    """The epochs so far."""

    job: _Job
    valid: Any
    back_off: float
    timeout: float
    history: list[Epoch] = field(default_factory=list)
    updates: np.ndarray | int = 0
    diverged: bool = False

    def epoch(self, crew: _Crew) -> None:
        """Run one epoch and write down what came of it."""
        number, start = len(self.history), time.perf_counter()
        crew.ask((number, self.back_off**number))
        reports = crew.reports(self.timeout)
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
