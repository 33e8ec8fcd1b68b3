"""Small trainings to be watched: a network of two layers on points of a plane, a second at most."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, Watch, watch

Make = Callable[[Iterable[Tensor]], torch.optim.Optimizer]


def points(examples: int = 256, features: int = 4) -> tuple[Tensor, Tensor]:
    """Return inputs of zero mean and unit variance, and which of two halves each lies in."""
    inputs = torch.randn(examples, features, generator=torch.Generator().manual_seed(3))
    return inputs, (inputs[:, 0] + inputs[:, 1] ** 2 > 0.5).long()


def net(features: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, 2))


def sgd(params: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=0.1, momentum=0.9)


def train(
    make: Make = sgd, model: nn.Module | None = None, steps: int = 30, **options: Any
) -> Watch:
    """Watch a healthy loop over shuffled batches of 32, and return the closed watch.

    Nothing is measured at the end unless ``at_exit`` allows some seconds.
    """
    model = net() if model is None else model
    optimizer, loss_fn = make(model.parameters()), nn.CrossEntropyLoss()
    inputs, labels = points()
    options = {"at_exit": 0.0, **options}
    shuffle = torch.Generator().manual_seed(1)
    with watch(model, optimizer, options.pop("loss_fn", loss_fn), **options) as watching:
        for _ in range(steps):
            rows = torch.randint(len(inputs), (32,), generator=shuffle)
            optimizer.zero_grad()
            loss_fn(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    return watching


def fit(
    model: nn.Module, make: Make, data: tuple[Tensor, Tensor], steps: int = 100,
    batch: int | None = None, loss_fn: nn.Module | None = None, **options: Any,
) -> Evidence:  # fmt: skip
    """Watch a fit to all of the data, or to shuffled batches of it; squares are the loss if none.

    The evidence is complete: what is owed at the end has all the time it needs.
    """
    optimizer, loss = make(model.parameters()), loss_fn or nn.MSELoss()
    shuffle = torch.Generator().manual_seed(1)
    with watch(model, optimizer, loss, **{"at_exit": 60.0, **options}) as watching:
        for _ in range(steps):
            chosen = torch.randint(len(data[0]), (batch or 1,), generator=shuffle)
            inputs, targets = (each[chosen] if batch else each for each in data)
            optimizer.zero_grad()
            loss(model(inputs), targets).backward()
            optimizer.step()
    return watching.evidence


def line(examples: int = 512, features: int = 10, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return independent inputs, and targets of about unit size that are linear in them."""
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(examples, features, generator=generator)
    slope = torch.randn(features, 1, generator=generator) / features**0.5
    return inputs, inputs @ slope + noise * torch.randn(examples, 1, generator=generator)


def forget_what_was_compiled() -> None:
    """Forget what other tests compiled: then a watch may look at activations that are functions."""
    compiler = sys.modules.get("torch._dynamo.utils")
    if compiler is not None:
        torch._dynamo.reset()
        compiler.counters.clear()
