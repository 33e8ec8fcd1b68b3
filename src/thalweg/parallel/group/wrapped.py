"""Synchronous training by torch's own wrappers: DDP keeps whole models, FSDP2 parts of one.

Both add gradients up while the backward pass goes on; then the rule updates what is here.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from thalweg.optim import Optimizer
from thalweg.parallel.engine import Job, Tally
from thalweg.parallel.flat import trained, vector_of
from thalweg.parallel.group.course import Course
from thalweg.parallel.group.group import Group
from thalweg.parallel.replica import Replica
from thalweg.training.data.forms import size_of


def _ddp(replica: Replica, group: Group) -> nn.Module:
    """Wrap a model, and say whether the loss reaches all of it, for which DDP would wait."""
    apart = Replica(deepcopy(replica.model), replica.loss, replica.batches)
    apart.measure(vector_of(replica.model), 0)
    unreached = any(p.grad is None for p in apart.parameters)
    return DistributedDataParallel(replica.model, find_unused_parameters=unreached)


def _fsdp2(replica: Replica, group: Group) -> nn.Module:
    """Cut a model's parameters between processes; the children of a Sequential are a unit each.

    Only root modules are called for certain, and parameters that two children share belong to one.
    """
    model = replica.model
    mesh = init_device_mesh(group.device.type, (group.size,))
    children = list(model) if isinstance(model, nn.Sequential) else []
    if sum(len(trained(child)) for child in children) == len(replica.parameters):
        for child in filter(trained, children):
            fully_shard(child, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


WRAPS: dict[str, Callable[[Replica, Group], nn.Module]] = {"ddp": _ddp, "fsdp2": _fsdp2}


class Wrapped(Course):
    """A course in which every process measures a batch, and wrappers take the mean."""

    def __init__(self, group: Group, job: Job, start: Tensor, wrap: str) -> None:
        super().__init__(group, job, start, group.size)
        self.module = WRAPS[wrap](self.replica, group)
        named = trained(self.replica.model)
        self.parameters = [named[name] for name in self.replica.layout.names]
        self.optimizer = Optimizer(
            self.parameters, self.serving.rule, nonfinite="skip", **self.serving.hyper
        )

    def run(self) -> tuple[Tensor, Tally]:
        """Go on until no gradient is left; then let go of the group.

        DDP's reducer, were it the last to hold the group, would end it with Python's lock in hand,
        for which the group's own threads may wait.
        """
        try:
            return super().run()
        finally:
            for name in ("logger", "reducer"):
                self.module.__dict__.pop(name, None)

    def update(self, numbers: range) -> bool:
        """Update what is here, unless a gradient is not finite, as all see it then."""
        skipped = self.optimizer.skipped_steps
        self._measure(numbers)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return self.optimizer.skipped_steps == skipped

    def _measure(self, numbers: range) -> None:
        """Write the mean gradient of these batches, of which this process measures one.

        Wrappers take the mean over processes, so a batch counts by its share of the examples. Where
        there are fewer batches, one is measured again, and the second time counts nothing.
        """
        mine = numbers.start + self.group.rank
        takes_part = mine in numbers
        number = mine if takes_part else numbers.start
        share = self.batches.length(number) / sum(map(self.batches.length, numbers))
        inputs, targets = self.batch(number)
        self.module.train()
        loss = self.replica.loss(self.module(inputs), targets)
        (loss * (share * self.group.size if takes_part else 0.0)).backward()
        for p in self.parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        if takes_part:
            self.reporter.note(float(loss.detach()), size_of((inputs, targets)))

    def values(self) -> Tensor:
        """Return all parameters, whole."""
        return torch.cat([_whole(p.detach()).flatten() for p in self.parameters])


def _whole(p: Tensor) -> Tensor:
    return p.full_tensor() if isinstance(p, DTensor) else p
