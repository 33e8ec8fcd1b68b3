"""Spawned processes that update one model in shared memory, and notice when one is lost."""

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

from thalweg.errors import BadType, ThalwegError
from thalweg.optim import Optimizer
from thalweg.training.data.forms import Examples
from thalweg.training.data.order import generator_of

_SIGN_OF_LIFE = 0.5
"""Seconds after which a worker that is in the middle of an epoch says that it is."""


class WorkerLost(ThalwegError, RuntimeError):
    """A worker died, failed, or was not heard of in time; the others were ended."""


@dataclass(frozen=True)
class Report:
    """What a worker did in an epoch so far."""

    loss: float = 0.0
    examples: int = 0
    updates: int = 0
    over: bool = False


@dataclass
class Job:
    """What every worker needs to know."""

    model: nn.Module
    optimizer: Optimizer
    loss: Callable[[Any, Any], Tensor]
    data: Examples
    batch: int
    workers: int
    seed: int

    def epoch(self, worker: int, number: int, factor: float) -> Iterator[Report]:
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
            yield Report(total, examples, count)
        self._set_rates(rates)
        yield Report(total, examples, count, over=True)

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


def _work(job: Job, worker: int, pipe: Connection) -> None:
    """Say that all is there, then run one epoch after the other as they are asked for."""
    torch.set_num_threads(1)
    try:
        job.model.train()
        pipe.send(Report(over=True))
        while True:
            asked, last = pipe.recv(), time.monotonic()
            for report in job.epoch(worker, *asked):
                if report.over or time.monotonic() > last + _SIGN_OF_LIFE:
                    last = time.monotonic()
                    pipe.send(report)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception:
        pipe.send(traceback.format_exc())


@dataclass
class Workers:
    """The processes, and the pipes through which they are talked to."""

    processes: list[Any] = field(default_factory=list)
    pipes: list[Any] = field(default_factory=list)

    def ask(self, number: int, factor: float) -> None:
        """Tell every worker which epoch to run, and by what to multiply its rate."""
        for worker, pipe in enumerate(self.pipes):
            try:
                pipe.send((number, factor))
            except OSError:
                raise self._lost(worker) from None

    def reports(self, timeout: float) -> list[Report]:
        """Wait until every worker is ready, or its epoch over, and return what each did."""
        found: dict[int, Report] = {}
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

    def _received(self, worker: int) -> Report:
        pipe = self.pipes[worker]
        try:
            said = pipe.recv() if pipe.poll() else None
        except (EOFError, OSError):
            said = None
        if isinstance(said, Report):
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
def spawned(job: Job) -> Iterator[Workers]:
    """Start the workers of a job, and end them whatever happens."""
    context, workers = torch.multiprocessing.get_context("spawn"), Workers()
    try:
        for worker in range(job.workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(job, worker, theirs), daemon=True)
            workers.pipes.append(ours)
            try:
                process.start()
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise BadType(
                    f"the model, the loss or the data cannot be sent to another process: {error}. "
                    "Define classes and functions at the top of a module, not inside a function."
                ) from error
            workers.processes.append(process)
            theirs.close()
        yield workers
    finally:
        workers.close()
