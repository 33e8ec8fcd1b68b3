"""The loop that most of the runs share, with the places at which users put something of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from thalweg import watch
from thalweg.doctor import Diagnosis
from thalweg.problems import Split

Place = Callable[[], object]
CROSS_ENTROPY = nn.CrossEntropyLoss()


def nothing() -> None:
    """What most put there."""


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[Split], epochs: int = 10,
    loss_fn: Callable = CROSS_ENTROPY, *, validation: Split | None = None,
    before_update: Place = nothing, after_update: Place = nothing, after_epoch: Place = nothing,
) -> Diagnosis:  # fmt: skip
    """Train a model under watch as it comes, and return the diagnosis."""
    with watch(model, optimizer, loss_fn) as watching:
        for _ in range(epochs):
            for inputs, targets in batches:
                optimizer.zero_grad()
                loss_fn(model(inputs), targets).backward()
                before_update()
                optimizer.step()
                after_update()
            if validation:
                validate(model, loss_fn, validation)
            after_epoch()
    return watching.diagnosis


def validate(model: nn.Module, loss_fn: Callable, held_out: Split) -> float:
    """Return the loss on held-out data, and leave the model in the mode for training."""
    model.eval()
    with torch.no_grad():
        loss = loss_fn(model(held_out.inputs), held_out.targets)
    model.train()
    return float(loss)


def clip(model: nn.Module) -> Place:
    """Clip the norm of the gradient at one before each update."""
    return lambda: nn.utils.clip_grad_norm_(model.parameters(), 1.0)
