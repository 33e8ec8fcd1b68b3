"""`TorchEngine`: workers are the processes that torchrun has started, and train in step."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadValue
from thalweg.parallel.algorithms.synchronous import Synchronous
from thalweg.parallel.compression import Whole
from thalweg.parallel.engine import Engine, Job, Tally
from thalweg.parallel.group import meeting
from thalweg.parallel.group.agreement import check_agreement
from thalweg.parallel.group.course import Course
from thalweg.parallel.group.group import Group
from thalweg.parallel.group.pipeline import Pipeline, Staged
from thalweg.parallel.group.rounds import Rounds
from thalweg.parallel.group.wrapped import WRAPS, Wrapped
from thalweg.problems import own_gradient


@dataclass(frozen=True)
class TorchEngine(Engine):
    """Trains in the processes that torchrun has started, each of which makes the same call.

    ``torchrun --nproc-per-node 2 train.py``: every process is a worker, and all return the same.
    Collectives are gloo's for a model on the CPU and NCCL's on a GPU; a process group that the
    program has made itself is used. All begin with the model of the first process. One that is
    silent for *timeout* seconds ends the training of the others.

    Only algorithms whose workers move in step can be trained so. What they push is added up over
    the processes, each of which makes the server's update for itself. `Synchronous` has other forms
    by *wrap*: ``"ddp"`` adds gradients up during the backward pass, ``"fsdp2"`` cuts parameters,
    gradients and the rule's state between processes, and a ``Pipeline`` gives each a stage.
    """

    wrap: Literal["ddp", "fsdp2"] | Pipeline | None = None
    timeout: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.wrap, Pipeline) and self.wrap not in (None, *WRAPS):
            names = ", ".join(map(repr, WRAPS))
            raise BadValue(f"wrap={self.wrap!r}; expected {names}, a Pipeline, or None.")
        check_number("timeout", self.timeout, 1)
        check_count("seed", self.seed, 0)

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return meeting.rank() == 0

    def run(self, job: Job) -> tuple[Tensor, Tally]:
        """Train until no gradient is left; return the same in every process."""
        _check(job)
        if self.wrap is not None:
            _check_wrap(job, self.wrap)
        _check_started(job.workers, self.wrap)
        with meeting.met(job.start.device, self.timeout) as group, _own_numbers(self.seed, group):
            check_agreement(group, job, repr(self))
            start = job.start.clone()
            group.spread([start])
            with group.answering():
                values, tally = self._course(group, job, start).run()
            group.spread([values])
        return values, tally

    def _course(self, group: Group, job: Job, start: Tensor) -> Rounds | Course:
        if self.wrap is None:
            return Rounds(group, job, start)
        if isinstance(self.wrap, Pipeline):
            return Staged(group, job, start, self.wrap)
        return Wrapped(group, job, start, self.wrap)


def _check(job: Job) -> None:
    """Refuse what no group of processes can do, or this engine cannot."""
    if not job.algorithm.serving(job.workers).rounds:
        raise BadValue(
            f"the workers of {type(job.algorithm).__name__} do not move in step, and TorchEngine "
            "knows only rounds of all of them. Use RayEngine, or Synchronous, LocalUpdates, diloco "
            "or Elastic(synchronous=True)."
        )
    if job.shards > 1:
        raise BadValue(f"shards={job.shards}; TorchEngine has no servers to cut. Leave it out.")
    if not isinstance(job.compression, Whole):
        raise BadValue(
            f"compress={job.compression!r}; TorchEngine adds gradients up where they are and "
            "pushes nothing to a server. Leave it out."
        )


def _check_wrap(job: Job, wrap: str | Pipeline) -> None:
    if not isinstance(job.algorithm, Synchronous):
        raise BadValue(
            f"wrap={wrap!r} is a form of Synchronous, in which no worker has parameters of its "
            f"own, as those of {type(job.algorithm).__name__} have. Leave wrap out."
        )
    if own_gradient(job.replica.loss) is not None:
        raise BadValue(
            f"the loss writes its gradient itself, and wrap={wrap!r} hears of gradients from the "
            "backward pass alone. Leave wrap out."
        )
    if isinstance(wrap, Pipeline):
        wrap.check(job)


def _check_started(workers: int, wrap: str | Pipeline | None) -> None:
    """Refuse to begin where torchrun has not started one process for each worker or stage."""
    needed = wrap.stages if isinstance(wrap, Pipeline) else workers
    what = f"{needed} stages" if isinstance(wrap, Pipeline) else f"workers={workers}"
    command = f"torchrun --nproc-per-node {needed} {_script()}"
    if not meeting.joinable():
        raise BadValue(
            "TorchEngine trains in processes that torchrun has started, and this one was started "
            f"alone. Run: {command}"
        )
    if meeting.size() != needed:
        raise BadValue(
            f"{what}, but there are {meeting.size()} processes; expected one for each. Run: "
            f"{command}"
        )


def _script() -> str:
    """Return the program that is running, as torchrun is told of it."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    if module is not None:
        return shlex.join(["-m", module.name.removesuffix(".__main__"), *sys.argv[1:]])
    return shlex.join(sys.argv) if sys.argv[0] else "train.py"


@contextmanager
def _own_numbers(seed: int, group: Group) -> Iterator[None]:
    """Draw other random numbers than the other processes do, such as those of dropout."""
    own = int(np.random.SeedSequence((seed, group.rank)).generate_state(1)[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(own)
        yield
