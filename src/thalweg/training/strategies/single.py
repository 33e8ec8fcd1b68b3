"""Batch normalization has nothing to normalize in a batch of one example: said beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from thalweg.errors import BadValue
from thalweg.problems.modes import in_mode
from thalweg.training.data.batches import Batches
from thalweg.training.data.forms import moved
from thalweg.training.evaluation import device_of


def check_single(model: nn.Module, batches: Batches, epochs: int) -> None:
    """Raise BadValue where a batch of one example will come that *model* cannot be trained on.

    Only models with batch normalization are tried; they are left as they were.
    """
    if not any(isinstance(module, _BatchNorm) for module in model.modules()):
        return
    batch = batches.lonely(epochs)
    if batch is None:
        return
    try:
        with _tried(model):
            model(moved(batch[0], device_of(model)))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise BadValue(
            "some batches would hold a single example, from which batch normalization computes no "
            "variance. Choose a batch size that leaves no single example at the end of an epoch, "
            "or DataLoader(..., drop_last=True)."
        ) from error


@contextmanager
def _tried(model: nn.Module) -> Iterator[None]:
    """Let a model run in training mode without a trace: buffers, modes and random state return."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with in_mode(model, training=True), torch.random.fork_rng(devices=[]), torch.no_grad():
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
