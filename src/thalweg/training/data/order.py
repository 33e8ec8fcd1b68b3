"""In which order, and how often, examples are seen in an epoch.

An order is a function of the epoch and of random numbers that the seed and the epoch alone decide,
so that any epoch can be taken up in its middle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch

from thalweg.training.data.forms import Examples, Indices


class Order(ABC):
    """Which examples an epoch sees, one after the other."""

    def __str__(self) -> str:
        """Return its name, which a checkpoint remembers."""
        return type(self).__name__

    def prepare(self, examples: Examples, epochs: int) -> None:
        """Look at the training set before the first epoch; raise BadValue for what cannot work."""

    def length(self, count: int, epoch: int) -> int:
        """Return how many numbers `indices` will return."""
        return count

    @abstractmethod
    def indices(self, count: int, epoch: int, generator: torch.Generator) -> Indices:
        """Return the numbers of the examples that epoch number *epoch*, from 0, sees."""

    def state(self) -> dict[str, Any]:
        """Return what `prepare` found and a checkpoint has to hold."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned when the checkpoint was written."""


def generator_of(seed: int, epoch: int) -> torch.Generator:
    """Return the random numbers of one epoch."""
    mixed = np.random.SeedSequence((seed, epoch)).generate_state(1)
    return torch.Generator().manual_seed(int(mixed[0]))


class InOrder(Order):
    """The examples as they stand."""

    def indices(self, count: int, epoch: int, generator: torch.Generator) -> Indices:
        """Return 0, 1, 2, ..."""
        return range(count)


class Shuffled(Order):
    """All examples, in a new random order in every epoch."""

    def indices(self, count: int, epoch: int, generator: torch.Generator) -> Indices:
        """Return a permutation."""
        return torch.randperm(count, generator=generator)
