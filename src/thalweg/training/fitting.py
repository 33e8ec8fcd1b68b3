"""`fit`: train a model, in place, on data in any form, and return its history."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from thalweg.arguments import check_count
from thalweg.errors import BadValue
from thalweg.problems import Split, own_gradient
from thalweg.problems.checks import check_apart, check_data, check_model
from thalweg.training.checkpoints import Checkpoints
from thalweg.training.data.batches import Size, as_batches
from thalweg.training.data.forms import Data, Examples, Rows, Stream, as_data
from thalweg.training.data.order import Order, generator_of
from thalweg.training.evaluation import no_validation
from thalweg.training.history import Result
from thalweg.training.loop import Loop
from thalweg.training.parts import check_extras, check_model_and_optimizer
from thalweg.training.strategies.single import check_single
from thalweg.training.strategies.strategy import Strategy
from thalweg.training.training import Training

if TYPE_CHECKING:
    from thalweg.training.study.notes import Notes


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Any, Any], Tensor],
    train: Any,
    valid: Any = None,
    *,
    batch: Size = 32,
    epochs: int = 1,
    order: Order | None = None,
    seed: int = 0,
    accumulate: int = 1,
    watch: int = 1000,
    strategies: Sequence[Strategy] = (),
    checkpoints: Checkpoints | str | PathLike[str] | None = None,
    run: Notes | None = None,
) -> Result:
    """Train *model* in place and return its history.

    *train* and *valid* are each a pair (inputs, targets) of tensors, arrays or memory maps with one
    row for each example, a `Dataset`, or a `DataLoader`. ``loss(outputs, targets)`` returns the
    mean over a batch. A loss with a method ``gradient(model, inputs, targets)`` is asked for the
    gradient: it writes every ``.grad`` and returns the loss.

    *batch* examples make one gradient: a number, "all", or a schedule over the updates; so many
    gradients as *accumulate* says make one update. A loader cuts its own batches. *order* says
    which examples an epoch sees, shuffled anew in each by default; with *seed* it fixes the order
    of the data, and nothing else: call ``torch.manual_seed`` for weights and dropout.

    *watch* examples of the training set, always the same, are evaluated after each epoch beside
    the validation set. *strategies* act on the training in the order given. With *checkpoints* it
    can be killed at any moment and resumed bit for bit. Events go to *run*, a run of a record.

    Raises BadValue or BadType before the first update for what cannot work, and Interrupted when
    a signal stopped it and the checkpoint is written. A loss that is not finite ends the training
    with a warning, and ``diverged`` is set in the result.
    """
    check_extras(strategies, order, checkpoints)
    for name, value, low in (("epochs", epochs, 1), ("seed", seed, 0), ("watch", watch, 0)):
        check_count(name, value, low)
    data, held_out = as_data(train), None if valid is None else as_data(valid)
    batches = as_batches(data, batch, order, seed, accumulate)
    batches.prepare(epochs)
    check_model_and_optimizer(model, optimizer)
    check_single(model, batches, epochs)
    with no_validation():
        check_model_and_data(model, loss, train, valid)
    check_accumulation(loss, accumulate)
    settings = {
        "optimizer": type(optimizer).__name__,
        "examples": len(data) if isinstance(data, Examples) else "those of a loader",
        "batch": batch if isinstance(batch, (int, str)) else repr(batch),
        "accumulate": accumulate,
        "seed": seed,
        "order": str(order),
        "strategies": [type(strategy).__name__ for strategy in strategies],
    }
    training = Training(model, optimizer, loss, batches, held_out, strategies, settings)
    if checkpoints is not None:
        _warn_of_workers(train, valid)
        checkpoints = (
            checkpoints if isinstance(checkpoints, Checkpoints) else Checkpoints(checkpoints)
        )
    return Loop(training, _watched(data, watch, seed), checkpoints, run).run(epochs)


def check_accumulation(loss: Callable[..., Tensor], accumulate: int) -> None:
    """Raise BadValue for a loss whose gradient cannot be that of a part of an update."""
    if accumulate > 1 and own_gradient(loss):
        raise BadValue(
            f"accumulate={accumulate}, but {type(loss).__name__} writes its own gradient, whole "
            "for each batch. Use a larger batch instead."
        )


def _warn_of_workers(*sets: Any) -> None:
    if any(getattr(each, "persistent_workers", False) for each in sets):
        warnings.warn(
            "a loader keeps its workers from epoch to epoch, and their random numbers are in "
            "no checkpoint: a resumed training need not go on bit for bit. "
            "DataLoader(..., persistent_workers=False) makes it so.",
            stacklevel=3,
        )


def check_model_and_data(
    model: nn.Module, loss: Callable[..., Tensor], train: Any, valid: Any
) -> None:
    """Refuse data and models that cannot go together; of plain batches nothing is known yet."""
    parts = {"train": _checkable(train), "valid": None if valid is None else _checkable(valid)}
    known = {name: part for name, part in parts.items() if part is not None}
    for name, part in known.items():
        check_data(part, name)
        check_model(model, loss, part, name)
    if len(known) == len(parts):
        check_apart(known["train"], known["valid"], "valid")


def _checkable(data: Any) -> Any:
    """Return the data as the checks of problems know them, else None."""
    if isinstance(data, (DataLoader, Dataset)):
        return data
    rows = as_data(data)
    return Split(rows.inputs, rows.targets) if isinstance(rows, Rows) else None


def _watched(data: Data, count: int, seed: int) -> Stream | None:
    """Return a fixed part of the training set; there is none of a loader."""
    if isinstance(data, Stream) or not count:
        return None
    chosen = torch.randperm(len(data), generator=generator_of(seed, _NO_EPOCH))[:count]
    return Stream([data.take(part) for part in chosen.sort().values.split(250)])


_NO_EPOCH = 2**32 - 1
"""Where the random numbers come from that are no epoch's."""
