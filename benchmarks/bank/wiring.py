"""Faulty wiring: parameters, modes and gradients that are not where the loop thinks they are."""

from __future__ import annotations

import torch
from torch import nn

from thalweg import watch
from thalweg.doctor import Watch

from .material import Batches, digits, mlp
from .run import faulty


@faulty("GD410")
def mlp_gradients_never_cleared() -> Watch:
    """The loop of a perceptron under SGD has no zero_grad."""
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    with watch(model, optimizer, loss_fn) as watching:
        for _ in range(10):
            for inputs, targets in Batches(digits()[0]):
                loss_fn(model(inputs), targets).backward()
                optimizer.step()
    return watching
