"""A worker's model: the gradient at any vector of parameters, on the batch of any number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from thalweg.parallel.algorithms.algorithm import Measured
from thalweg.parallel.flat import Layout, trained
from thalweg.problems import own_gradient
from thalweg.training.data.forms import Batch, Examples, Indices, moved, size_of
from thalweg.training.data.order import InOrder, Order, Shuffled, generator_of
from thalweg.training.evaluation import device_of


class Batches:
    """The batches of a whole training by their number, from 0: epoch after epoch as `fit` cuts it.

    A number says all there is to say of a batch, so that workers need no common place in the data.
    """

    def __init__(self, examples: Examples, size: int | Literal["all"], seed: int) -> None:
        self.examples, self.seed = examples, seed
        self.size = len(examples) if size == "all" else size
        self.order: Order = InOrder() if size == "all" else Shuffled()
        self._epoch = -1
        self._indices: Indices = range(0)

    @property
    def per_epoch(self) -> int:
        """The batches of an epoch, the last of which may be smaller."""
        return -(-len(self.examples) // self.size)

    def length(self, number: int) -> int:
        """Return how many examples the batch of that number has."""
        begin = number % self.per_epoch * self.size
        return min(self.size, len(self.examples) - begin)

    def take(self, number: int) -> Batch:
        """Return the batch of that number."""
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            generator = generator_of(self.seed, epoch)
            self._indices = self.order.indices(len(self.examples), epoch, generator)
            self._epoch = epoch
        return self.examples.take(self._indices[place * self.size : (place + 1) * self.size])


class Replica:
    """A model whose trained parameters are read from vectors; its other state stays its own."""

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor], batches: Batches) -> None:
        self.model, self.loss, self.batches = model, loss, batches
        self.layout = Layout.of(model)
        self.parameters = list(trained(model).values())
        self._device = device_of(model)
        self._write_gradient = own_gradient(loss)

    @torch.no_grad()
    def load(self, values: Tensor) -> None:
        """Write a vector of parameters into the model."""
        for p, view in zip(self.parameters, self.layout.views(values), strict=True):
            p.copy_(view)

    def measure(self, at: Tensor, number: int) -> Measured:
        """Return the gradient at a vector of parameters, on the batch of that number.

        A parameter that the loss does not reach has the gradient zero.
        """
        self.load(at)
        self.model.train()
        self.model.zero_grad(set_to_none=True)
        batch = self.batches.take(number)
        inputs, targets = (moved(part, self._device) for part in batch)
        loss = self._backward(inputs, targets)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        gradient = torch.cat([part.flatten() for part in parts])
        return Measured(gradient, float(loss), size_of(batch))

    def _backward(self, inputs: Any, targets: Any) -> Tensor:
        if self._write_gradient is not None:
            return self._write_gradient(self.model, inputs, targets).detach()
        loss = self.loss(self.model(inputs), targets)
        loss.backward()
        return loss.detach()
