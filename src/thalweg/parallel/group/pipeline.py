"""A pipeline: every process holds a stage of the model, and sends on what its stage makes of it.

The graph of a model is cut between devices, with a pair of Send and Recv at every cut, as in Abadi
et al. 2016, TensorFlow. The stages work at the same time, on microbatches of one batch: all forward
and then all backward (Huang et al. 2019, GPipe), or in turns, which holds fewer of them at a time
(Narayanan et al. 2019, PipeDream).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.kernels.plan import lower
from thalweg.optim import Optimizer
from thalweg.parallel.engine import Job
from thalweg.parallel.flat import trained, vector_of
from thalweg.parallel.group.course import Course
from thalweg.parallel.group.group import Group
from thalweg.problems.modes import in_mode
from thalweg.training.data.forms import size_of

SCHEDULES: dict[str, Any] = {"gpipe": ScheduleGPipe, "1f1b": Schedule1F1B}


@dataclass(frozen=True)
class Pipeline:
    """So many *stages* of an ``nn.Sequential``, of about as many parameters each.

    A batch is cut into *microbatches*; a batch that is smaller, as the last of an epoch may be,
    into the largest number up to it that leaves no rest, and passes as GPipe has it where these are
    fewer than stages. Batch normalization sees microbatches.
    """

    stages: int
    microbatches: int = 4
    schedule: Literal["gpipe", "1f1b"] = "1f1b"

    def __post_init__(self) -> None:
        check_count("stages", self.stages, 2)
        check_count("microbatches", self.microbatches)
        if self.schedule not in SCHEDULES:
            raise BadValue(f"schedule={self.schedule!r}; expected {' or '.join(SCHEDULES)}.")
        if self.schedule == "1f1b" and self.microbatches < self.stages:
            raise BadValue(
                f"{self.microbatches} microbatches for {self.stages} stages; 1f1b needs as many as "
                "there are stages, to give each something to do. Use more, or schedule='gpipe'."
            )

    def check(self, job: Job) -> None:
        """Raise BadValue or BadType for a job that cannot be done in stages."""
        if job.workers > 1:
            raise BadValue(
                f"workers={job.workers}, but the stages of a pipeline are one worker together. "
                "Leave workers out."
            )
        plan = lower(job.algorithm.serving(1).rule)
        if plan.reads_every_row or plan.draws_noise:
            raise BadValue(
                f"{plan.rule.name} looks at all parameters at once, or draws noise by their place, "
                "and every stage sees its own. Leave that transform out, or the pipeline."
            )
        if job.replica.batches.size % self.microbatches:
            raise BadValue(
                f"batch={job.replica.batches.size} cannot be cut into {self.microbatches} equal "
                "microbatches. Use another batch or number of microbatches."
            )
        if not isinstance(job.replica.batches.take(0)[0], Tensor):
            raise BadType("a pipeline takes inputs that are one tensor, these are several.")
        cut_into_stages(job.replica.model, self.stages)


def cut_into_stages(model: nn.Module, stages: int) -> list[nn.Sequential]:
    """Return consecutive parts of a Sequential over the same modules, each with parameters."""
    if not isinstance(model, nn.Sequential):
        raise BadType(
            f"the model is {type(model).__name__}; expected an nn.Sequential, whose children can "
            "be divided between stages. Write it as one, or use DDP or FSDP2."
        )
    sizes = [sum(p.numel() for p in trained(child).values()) for child in model]
    starts = [*_starts(sizes, stages), len(sizes)]
    parts = [nn.Sequential(*list(model)[a:b]) for a, b in pairwise(starts)]
    if sum(len(trained(part)) for part in parts) > len(trained(model)):
        raise BadValue("two stages share a parameter; a pipeline needs one for each.")
    return parts


def _starts(sizes: Sequence[int], stages: int) -> list[int]:
    """Return where stages begin, each at a child with parameters but the first at the beginning."""
    before = [end - size for end, size in zip(accumulate(sizes), sizes, strict=True)]
    heads = [place for place, size in enumerate(sizes) if size][1:]
    if len(heads) < stages - 1:
        raise BadValue(
            f"{stages} stages, but only {len(heads) + 1} children of the Sequential have "
            "parameters that are trained. Use fewer stages."
        )
    found = [0]
    for stage in range(1, stages):
        free = [head for head in heads if head > found[-1]]
        free = free[: len(free) - (stages - 1 - stage)]
        ideal = sum(sizes) * stage / stages
        found.append(min(free, key=lambda head: abs(before[head] - ideal)))
    return found


class Staged(Course):
    """A course in which every process holds one stage, and all of them measure each batch."""

    def __init__(self, group: Group, job: Job, start: Tensor, pipeline: Pipeline) -> None:
        super().__init__(group, job, start, 1)
        self.pipeline = pipeline
        self.stages = cut_into_stages(self.replica.model, pipeline.stages)
        self.own = self.stages[group.rank]
        self.last = group.rank == group.size - 1
        self.parameters = list(trained(self.own).values())
        self.optimizer = Optimizer(self.parameters, self.serving.rule, **self.serving.hyper)
        self._schedule = cache(self._scheduled)

    def update(self, numbers: range) -> bool:
        """Update every stage, unless the gradient of one is not finite."""
        self.measure(numbers.start)
        mine = all(bool(p.grad.isfinite().all()) for p in self.parameters if p.grad is not None)
        finite = all(whether for (whether,) in self.group.rows([mine]))
        if finite:
            self.optimizer.step()
        self.optimizer.zero_grad()
        return finite

    def measure(self, number: int) -> None:
        """Write the gradient of a batch into the parameters of this stage."""
        self.own.train()
        inputs, targets = self.batch(number)
        schedule = self._schedule(len(inputs))
        losses: list[Tensor] = []
        if self.group.rank == 0:
            schedule.step(inputs)
        elif self.last:
            schedule.step(target=targets, losses=losses)
        else:
            schedule.step()
        for p in self.parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        if losses:
            mean = torch.stack(losses).detach().mean()
            self.reporter.note(float(mean), size_of((inputs, targets)))

    def _scheduled(self, length: int) -> Any:
        """Return what carries out a batch of so many examples."""
        most = min(self.pipeline.microbatches, length)
        count = next(k for k in range(most, 0, -1) if length % k == 0)
        given, made = self._borders(self.batch(0)[0][: length // count])
        stage = PipelineStage(
            self.own, self.group.rank, self.group.size, self.group.device,
            input_args=given, output_args=made,
        )  # fmt: skip
        kind = SCHEDULES[self.pipeline.schedule if count >= self.group.size else "gpipe"]
        return kind(stage, count, loss_fn=self.replica.loss)

    def _borders(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return what enters and what leaves this stage, of which the shapes are true."""
        places = [inputs]
        model = self.replica.model
        with torch.no_grad(), in_mode(model, training=False), torch.random.fork_rng(devices=[]):
            for stage in self.stages:
                places.append(stage(places[-1]))
        given, made = places[self.group.rank : self.group.rank + 2]
        return given.detach().requires_grad_(self.group.rank > 0), made.requires_grad_()

    @torch.no_grad()
    def values(self) -> Tensor:
        """Return the parameters of all stages."""
        for source, stage in enumerate(self.stages):
            held = [p.detach() for p in trained(stage).values()]
            self.group.spread([*held, *stage.buffers()], source)
        return vector_of(self.replica.model)
