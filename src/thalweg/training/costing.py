"""What a batch size costs: gradients, time and memory, measured on the updates of `fit` itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.problems import own_gradient
from thalweg.schedules.together import updates_per_epoch
from thalweg.training import randomness
from thalweg.training.data.batches import check_size
from thalweg.training.data.forms import Batch, Examples, as_data, moved
from thalweg.training.data.order import Order
from thalweg.training.data.sampling import sampled
from thalweg.training.evaluation import device_of
from thalweg.training.fitting import fit
from thalweg.training.history import Result
from thalweg.training.strategies.strategy import Strategy
from thalweg.training.training import Training

Size = int | Literal["all"]


@dataclass(frozen=True)
class Cost:
    """What training with batches of so many examples costs.

    An epoch computes the gradient of ``gradients`` examples and makes ``updates`` of them, each of
    ``batch`` examples. ``seconds`` is the median of an update, with cutting its batch.
    ``epoch_seconds`` is measured where whole epochs were run, and else ``extrapolated`` from it.

    ``batch_bytes`` is the memory of a batch, ``saved_bytes`` that of what autograd saves for the
    backward pass beside it. Parameters, gradients and the optimizer's state come on top, the same
    for every batch.
    """

    name: str
    batch: int
    updates: int
    gradients: int
    seconds: float
    epoch_seconds: float
    extrapolated: bool
    batch_bytes: int
    saved_bytes: int


def costs(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Any, Any], Tensor],
    train: Any,
    batches: Sequence[Size] = ("all", 1, 32),
    *,
    updates: int = 10,
) -> tuple[Cost, ...]:
    """Measure what each of *batches* costs on a run of `fit`, and return it in their order.

    At least so many *updates* are timed after one that is not; where an epoch has no more of them,
    as with "all", whole epochs are. Every run begins from where model, optimizer and random numbers
    are, and afterwards they are there again, without gradients. *train* is whatever `fit` takes but
    a loader, which cuts its own batches.
    """
    data = as_data(train)
    if not isinstance(data, Examples):
        raise BadType(
            "the data are a loader, which cuts its own batches; pass the data set itself, so that "
            "others can be cut."
        )
    check_count("updates", updates)
    for size in batches:
        if size != "all":
            check_count("batch", size)
        check_size(size, len(data))
    bench = _Bench(model, optimizer, loss, data, updates)
    return tuple(bench.cost(size) for size in batches)


@dataclass(frozen=True)
class _Bench:
    """A training that is begun again for every batch size."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[[Any, Any], Tensor]
    data: Examples
    updates: int

    def cost(self, size: Size) -> Cost:
        """Time updates with batches of one size, then look at the memory of one."""
        count = len(self.data)
        batch = count if size == "all" else size
        in_epoch = updates_per_epoch(count, batch)
        with self._begun_anew():
            seconds, epoch_seconds = self._times(size, in_epoch)
        with self._begun_anew():
            batch_bytes, saved_bytes = self._bytes(self.data.take(range(batch)))
        return Cost(
            name=_name(batch, count),
            batch=batch,
            updates=in_epoch,
            gradients=count,
            seconds=seconds,
            epoch_seconds=seconds * in_epoch if epoch_seconds is None else epoch_seconds,
            extrapolated=epoch_seconds is None,
            batch_bytes=batch_bytes,
            saved_bytes=saved_bytes,
        )

    @contextmanager
    def _begun_anew(self) -> Iterator[None]:
        """Put everything back afterwards."""
        random, training = randomness.capture(), self.model.training
        model, optimizer = deepcopy((self.model.state_dict(), self.optimizer.state_dict()))
        try:
            yield
        finally:
            self.model.load_state_dict(model)
            self.optimizer.load_state_dict(optimizer)
            self.optimizer.zero_grad()
            self.model.train(training)
            randomness.restore(random)

    def _times(self, size: Size, in_epoch: int) -> tuple[float, float | None]:
        """Return the median seconds of an update, and of an epoch where whole ones were run."""
        stopwatch = _Stopwatch()
        if in_epoch <= self.updates:
            result = self._run(size, 1 + -(-self.updates // in_epoch), None, stopwatch)
            epochs = [epoch.seconds for epoch in result.history[1:]]
        else:
            result = self._run(size, 1, _some((self.updates + 1) * int(size)), stopwatch)
            epochs = []
        if result.diverged:
            raise BadValue(f"the training with batch={size!r} diverged while it was measured.")
        return stopwatch.median(), median(epochs) if epochs else None

    def _run(self, size: Size, epochs: int, order: Order | None, watch: _Stopwatch) -> Result:
        return fit(
            self.model, self.optimizer, self.loss, self.data,
            batch=size, epochs=epochs, order=order, watch=0, strategies=[watch],
        )  # fmt: skip

    def _bytes(self, batch: Batch) -> tuple[int, int]:
        """Return the bytes of a batch and of what is saved for its backward pass."""
        batch = moved(batch, device_of(self.model))
        given = list(_tensors(batch))
        known = {_place(each) for each in (*given, *_own(self.model))}
        saved: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            if _place(tensor) not in known:
                saved[_place(tensor)] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(note, lambda tensor: tensor):
            self._forward(batch)
        return sum(each.nbytes for each in given), sum(saved.values())

    def _forward(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, up to its backward pass; all of it where that is its own."""
        self.model.train()
        inputs, targets = batch
        own = own_gradient(self.loss)
        return own(self.model, inputs, targets) if own else self.loss(self.model(inputs), targets)


class _Stopwatch(Strategy):
    """Notes when updates end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def after_update(self, training: Training) -> None:
        device = device_of(training.model)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        self.ends.append(time.perf_counter())

    def median(self) -> float:
        """Return the median of the seconds from one to the next."""
        return median(after - before for before, after in pairwise(self.ends))


def _some(count: int) -> Order:
    """Return an epoch of *count* random examples."""
    return sampled(lambda generator: torch.randperm(count, generator=generator).tolist())


def _name(batch: int, count: int) -> str:
    return "full batch" if batch == count else "stochastic" if batch == 1 else "mini-batch"


def _own(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def _tensors(part: Any) -> Iterator[Tensor]:
    """Yield the tensors in dicts, lists and tuples."""
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, (dict, list, tuple)):
        for each in part.values() if isinstance(part, dict) else part:
            yield from _tensors(each)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
