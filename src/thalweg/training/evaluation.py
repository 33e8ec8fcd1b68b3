"""The loss of a model on data it is not trained on, and the share of right answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from thalweg.arguments import check_count
from thalweg.errors import BadValue
from thalweg.problems.answers import right_answers
from thalweg.problems.modes import in_mode
from thalweg.training.data.forms import Batch, Data, Stream, as_data, moved, size_of

not_validating: ContextVar[bool] = ContextVar("not_validating", default=False)
"""Set while a model is tried out, or evaluated on what it is trained on."""


@contextmanager
def no_validation() -> Iterator[None]:
    """Tell who watches that losses without a gradient are none of a validation set."""
    token = not_validating.set(True)
    try:
        yield
    finally:
        not_validating.reset(token)


class Evaluation(NamedTuple):
    """Means over examples: the loss, and the accuracy where targets are classes, else None."""

    loss: float
    accuracy: float | None


@torch.no_grad()
def evaluate(
    model: nn.Module, loss: Callable[[Any, Any], Tensor], data: Any, *, batch: int = 1000
) -> Evaluation:
    """Return the mean loss of *model* on all of *data*, in evaluation mode.

    *data* is whatever `fit` takes; examples are fed *batch* at a time, a loader's batches as they
    come. The modes of the model's parts and torch's random numbers are afterwards as they were.
    Raises BadValue where there are no examples.
    """
    check_count("batch", batch)
    device = device_of(model)
    total, right, answers, examples = 0.0, 0, 0, 0
    with in_mode(model, training=False), torch.random.fork_rng(devices=[]):
        for inputs, targets in batches_of(as_data(data), batch):
            count = size_of((inputs, targets))
            outputs, targets = model(moved(inputs, device)), moved(targets, device)
            total += float(loss(outputs, targets)) * count
            examples += count
            found = right_answers(outputs, targets)
            if found is not None:
                right, answers = right + found, answers + targets.numel()
    if not examples:
        raise BadValue(
            "the data to evaluate on yield no examples; give them at least one, and let an "
            "iterable begin anew each time that it is gone through."
        )
    return Evaluation(total / examples, right / answers if answers else None)


def device_of(model: nn.Module) -> torch.device:
    """Return where the model's first parameter is."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def batches_of(data: Data, batch: int) -> Iterator[Batch]:
    """Yield all of *data* in order, *batch* examples at a time, or a loader's own batches."""
    if isinstance(data, Stream):
        yield from data
        return
    for begin in range(0, len(data), batch):
        yield data.take(range(begin, min(begin + batch, len(data))))
