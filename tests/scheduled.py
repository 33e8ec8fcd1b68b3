"""Small trainings with a learning rate schedule that is stepped at one place or another."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from thalweg.doctor import Evidence, watch
from watched import net, points

Make = Callable[[torch.optim.Optimizer], Any]


def scheduled(
    make: Make, updates: int = 200, every: int = 1, *, before: bool = False, epoch: int = 0
) -> Evidence:
    """The evidence of a run whose scheduler is stepped after *every* so many updates, 0 is never.

    Each *epoch* of so many updates ends with a shorter batch.
    """
    model, loss_fn, (inputs, labels) = net(), nn.CrossEntropyLoss(), points()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scheduler = make(optimizer)
    rows = torch.Generator().manual_seed(1)
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for step in range(1, updates + 1):
            due = bool(every) and step % every == 0
            if before and due:
                scheduler.step()
            size = 3 if epoch and step % epoch == 0 else 8
            chosen = torch.randint(len(inputs), (size,), generator=rows)
            optimizer.zero_grad()
            loss_fn(model(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
            if due and not before:
                scheduler.step()
    return watching.evidence
