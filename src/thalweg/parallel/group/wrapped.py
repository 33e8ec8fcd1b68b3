"""Synchronous training by torch's own wrappers: DDP keeps whole models, FSDP2 parts of one.

Both add gradients up while the backward pass goes on; then the rule updates what is here.
"""

from __future__ import annotations

from collections import Counter
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
from thalweg.parallel.group.group import Group
from thalweg.parallel.group.reporter import Reporter
from thalweg.parallel.replica import Replica
from thalweg.parallel.server.versions import Outcome, Receipt
from thalweg.training.data.forms import moved, size_of


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
    return fully_shard(model, mesh=mesh)


WRAPS: dict[str, Callable[[Replica, Group], nn.Module]] = {"ddp": _ddp, "fsdp2": _fsdp2}


class Wrapped:
    """A job under way in one process of a group, with a copy of its model that is wrapped."""

    def __init__(self, group: Group, job: Job, start: Tensor, wrap: str) -> None:
        self.group, self.job = group, job
        replica = Replica(deepcopy(job.replica.model), job.replica.loss, job.replica.batches)
        replica.load(start)
        group.spread(list(replica.model.buffers()))
        self.model, self.batches = replica.model, replica.batches
        self.module = WRAPS[wrap](replica, group)
        named = trained(self.model)
        self.parameters = [named[name] for name in replica.layout.names]
        serving = job.algorithm.serving(group.size)
        self.optimizer = Optimizer(self.parameters, serving.rule, nonfinite="skip", **serving.hyper)
        self.reporter, self.tally = Reporter(group, job), Tally()

    def run(self) -> tuple[Tensor, Tally]:
        """Make an update of as many batches as there are processes, until none is left."""
        size, every, end = self.group.size, self.job.every, self.job.gradients
        for first in range(0, end, size):
            numbers = range(first, min(first + size, end))
            self._update(numbers)
            if numbers.stop // every > first // every or numbers.stop == end:
                self._tell()
        return self._values(), self.tally

    def _update(self, numbers: range) -> None:
        skipped = self.optimizer.skipped_steps
        with self.group.answering():
            self._measure(numbers)
            self.optimizer.step()
        self.optimizer.zero_grad()
        passed = self.optimizer.skipped_steps == skipped
        outcome = Outcome.APPLIED if passed else Outcome.NONFINITE
        for _ in numbers:
            self.tally.note(Receipt(outcome))

    def _measure(self, numbers: range) -> None:
        """Write the mean gradient of these batches, of which this process measures one.

        Wrappers take the mean over processes, so a batch counts by its share of the examples. Where
        there are fewer batches, one is measured again, and the second time counts nothing.
        """
        mine = numbers.start + self.group.rank
        takes_part = mine in numbers
        number = mine if takes_part else numbers.start
        share = self.batches.length(number) / sum(map(self.batches.length, numbers))
        batch = self.batches.take(number)
        inputs, targets = (moved(part, self.group.device) for part in batch)
        loss = self.job.replica.loss(self.module(inputs), targets)
        (loss * (share * self.group.size if takes_part else 0.0)).backward()
        for p in self.parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        if takes_part:
            self.reporter.note(float(loss.detach()), size_of(batch))

    # What is told.

    def _tell(self) -> None:
        """Tell the same in every process."""
        models = self.job.replica.model, self.model
        for whole, wrapped in zip(*(model.buffers() for model in models), strict=True):
            whole.copy_(wrapped)
        self.reporter.take(self.group.rows(self.reporter.row()))
        updates = len(range(0, self.tally.receipts.total(), self.group.size))
        values = self._values()
        self.reporter.tell(updates - self.optimizer.skipped_steps, lambda: values)

    @torch.no_grad()
    def _values(self) -> Tensor:
        """Return all parameters, whole."""
        with self.group.answering():
            return torch.cat([_whole(p).flatten() for p in self.parameters])


def _whole(p: Tensor) -> Tensor:
    return p.full_tensor() if isinstance(p, DTensor) else p.detach()
