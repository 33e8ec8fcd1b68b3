"""Batch normalization after training: its moments over the whole training set, and a guard.

Its layers gather running averages of mean and variance while the weights still change. Weights that
are averaged, or put back from a snapshot, were never seen by these averages; even after a plain
training they lag behind. `reestimate` measures the moments for the weights as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thalweg.arguments import check_count
from thalweg.errors import BadValue
from thalweg.problems.modes import in_mode
from thalweg.training import randomness
from thalweg.training.data.forms import Data, Stream, as_data, moved
from thalweg.training.evaluation import batches_of, device_of


@torch.no_grad()
def reestimate(model: nn.Module, data: Any, *, batch: int = 1000) -> None:
    """Measure mean and variance of what every batch normalization of *model* sees on all of *data*.

    *data* is the training set in any form that `fit` takes, or a part of it where all is too much.
    The layers are measured one after the other, the earlier ones normalizing as they will when the
    model is used and dropout off, so that the result is exact and depends neither on *batch*, the
    number of examples fed at a time, nor on chance. That takes as many passes as there are layers,
    each only as far as its layer. Sums are in float64; the variance is the unbiased one, as torch
    keeps it. Modes, momentum, ``num_batches_tracked`` and random numbers stay as they were.

    Raises BadValue, with the model as it was, where *data* are too few or not finite.
    """
    check_count("batch", batch)
    found, data = layers(model), as_data(data)
    if not found:
        return
    before = [(layer.running_mean.clone(), layer.running_var.clone()) for layer in found]
    try:
        with in_mode(model, training=False), _untouched_randomness(data), warnings.catch_warnings():
            warnings.simplefilter("ignore", StaleStatistics)
            reached = _calls(model, data, batch)
            for layer, calls in reached.items():
                _measure(layer, calls, model, data, batch)
    except BaseException:
        for layer, moments in zip(found, before, strict=True):
            _write(layer, *moments)
        raise
    for layer in reached:
        _unmark(layer)


def layers(model: nn.Module) -> list[Any]:
    """Return the batch normalizations of *model* that keep running statistics."""
    return [
        each for each in model.modules()
        if isinstance(each, _BatchNorm) and each.running_mean is not None
    ]  # fmt: skip


@contextmanager
def _untouched_randomness(data: Data) -> Iterator[None]:
    own = data.generators if isinstance(data, Stream) else []
    now = randomness.capture(own)
    try:
        yield
    finally:
        randomness.restore(now, own)


def _calls(model: nn.Module, data: Data, batch: int) -> dict[nn.Module, int]:
    """Return how often the model calls each layer, in the order of the first calls."""
    calls: dict[nn.Module, int] = {}

    def count(layer: nn.Module, _: Any) -> None:
        calls[layer] = calls.get(layer, 0) + 1

    hooks = [layer.register_forward_pre_hook(count) for layer in layers(model)]
    try:
        for inputs, _ in batches_of(data, batch):
            model(moved(inputs, device_of(model)))
            break
        else:
            raise BadValue("there are no data to measure batch normalization on.")
    finally:
        for hook in hooks:
            hook.remove()
    if not calls:
        raise BadValue(
            "the model calls none of its batch normalizations. If it is compiled, re-estimate the "
            "model that was given to torch.compile."
        )
    return calls


class _Reached(Exception):
    """Ends a forward pass behind the layer that is measured."""


def _measure(layer: Any, calls: int, model: nn.Module, data: Data, batch: int) -> None:
    """Set the running statistics of one layer to the moments of all its inputs."""
    moments, left = Moments(), 0

    def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal left
        moments.add(inputs[0])
        left -= 1
        if not left:
            raise _Reached

    hook = layer.register_forward_pre_hook(add, prepend=True)
    try:
        for inputs, _ in batches_of(data, batch):
            left = calls
            try:
                model(moved(inputs, device_of(model)))
            except _Reached:
                continue
    finally:
        hook.remove()
    _write(layer, *moments.checked())


class Moments:
    """Mean and variance of each channel over everything that was added, in float64.

    Parts are merged by deviations from their own means, so that nothing cancels.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, inputs: Tensor) -> None:
        """Add values of shape (examples, channels, ...)."""
        rows = inputs.detach().to(torch.float64).transpose(0, 1).flatten(1)
        count, mean = rows.shape[1], rows.mean(1)
        squares = (rows - mean[:, None]).square().sum(1)
        total, shift = self.count + count, mean - self.mean
        self.squares = self.squares + squares + shift.square() * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    def checked(self) -> tuple[Tensor, Tensor]:
        """Return mean and unbiased variance, or raise BadValue where there are none."""
        if self.count < 2:
            raise BadValue("one value for each channel has no variance; give more data.")
        mean, variance = torch.as_tensor(self.mean), torch.as_tensor(self.squares)
        variance = variance / (self.count - 1)
        if not (mean.isfinite().all() and variance.isfinite().all()):
            raise BadValue("what a batch normalization sees on the data is not finite.")
        return mean, variance


def _write(layer: Any, mean: Tensor, variance: Tensor) -> None:
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)


class StaleStatistics(UserWarning):
    """A model predicts with moments of batch normalization that are not those of its weights."""


def mark(model: nn.Module) -> None:
    """Note that the weights of *model* were put there without the moments that belong to them.

    As long as that is so, every prediction with it warns, also that of a copy or of a model it is
    part of. `reestimate` ends it, and so does training on: it gathers averages anew, as torch's
    ``update_bn`` does.
    """
    for layer in layers(model):
        if not is_marked(layer):
            layer.register_forward_pre_hook(_warn)


def is_marked(model: nn.Module) -> bool:
    """Return whether any batch normalization of *model* waits for its moments."""
    return any(_warn in layer._forward_pre_hooks.values() for layer in layers(model))


def _unmark(layer: nn.Module) -> None:
    hooks = layer._forward_pre_hooks
    for key in [key for key, hook in hooks.items() if hook is _warn]:
        del hooks[key]


def _warn(layer: nn.Module, _: Any) -> None:
    if layer.training:
        _unmark(layer)
        return
    warnings.warn(
        "the weights were averaged or put back, but the moments of batch normalization are those "
        "of others: call thalweg.training.reestimate(model, train) before predicting.",
        StaleStatistics,
        stacklevel=2,
    )
