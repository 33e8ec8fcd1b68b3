"""A small training with batch normalization and dropout, cut anywhere and resumed if asked to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thalweg.training import Checkpoints, Strategy, fit

PER_EPOCH = 7
"""Updates in an epoch: 50 examples, 8 in a batch."""


def data(count: int = 50, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 6, generator=generator)
    return inputs, (inputs.sum(1) > 0).long()


def model() -> Any:
    torch.manual_seed(0)
    layers = (nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    return nn.Sequential(*layers)


def adam(made: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(made.parameters(), lr=0.005)


class Cut(Strategy):
    """Stops the process's training dead after an update, as a crash would."""

    def __init__(self, update: int | None) -> None:
        self.update = update

    def after_update(self, training) -> None:
        if training.place.update == self.update:
            raise RuntimeError("cut")


class Log(Strategy):
    """Keeps the weights after every update and every epoch, for oracles."""

    def begin(self, training) -> None:
        self.updates: list[dict[str, Tensor]] = []
        self.epochs: list[dict[str, Tensor]] = []

    def after_update(self, training) -> None:
        self.updates.append(kept(training.model))

    def after_epoch(self, training, epoch) -> None:
        self.epochs.append(kept(training.model))


def kept(module: nn.Module) -> dict[str, Tensor]:
    return {name: each.detach().clone() for name, each in module.state_dict().items()}


def trained(*strategies: Strategy, epochs: int = 3, make: Callable = adam, **how: Any) -> Any:
    """Return the result of a training under *strategies*."""
    made = model()
    how = {"valid": data(20, 2), "batch": 8, **how}
    return fit(
        made, make(made), nn.functional.cross_entropy, data(), epochs=epochs,
        strategies=strategies, **how,
    )  # fmt: skip


def resumed(
    strategy: Callable[[], Strategy], cut: int, folder: Path, **how: Any
) -> tuple[Any, Any]:
    """Return a strategy and the result of a training cut after update *cut*, then resumed."""
    every = Checkpoints(folder, every=2)
    with pytest.raises(RuntimeError, match="cut"):
        trained(strategy(), Cut(cut), checkpoints=every, **how)
    torch.manual_seed(99)
    again = strategy()
    checkpoints = Checkpoints(folder, every=2, resume=True)
    return again, trained(again, Cut(None), checkpoints=checkpoints, **how)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
