"""A problem is data in three parts, a model, a loss, and a budget that makes a fair race short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


class Split(NamedTuple):
    """Inputs, float32 (examples, features), and their classes, int64 (examples,)."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True, eq=False)
class Problem:
    """A classification problem, the same for every rule that is tried on it.

    ``make_model(seed)`` returns the untrained model, equal for equal seeds. ``loss`` takes logits
    (examples, classes) and targets and returns the mean. ``batch_size`` counts examples and
    ``epochs`` passes over ``train``. ``known`` holds facts that hold for any rule, such as the loss
    of a guess. ``threads`` is how many of torch's threads a run should use, None for all: a small
    model is no faster on several, and many times slower where another program wants a core.
    """

    name: str
    description: str
    make_model: Callable[[int], nn.Module]
    train: Split
    validation: Split
    test: Split
    loss: Callable[[Tensor, Tensor], Tensor]
    batch_size: int
    epochs: int
    known: Mapping[str, float]
    threads: int | None = None


def hold_out(split: Split, count: int) -> tuple[Split, Split]:
    """Part ``split`` in two, ``count`` examples in the second, every class in the same proportion.

    The same examples are held out on every call.
    """
    import torch
    from sklearn.model_selection import train_test_split

    indices = train_test_split(
        range(len(split.targets)), test_size=count, stratify=split.targets, random_state=0
    )
    kept, held = (torch.tensor(part) for part in indices)
    return Split(*(part[kept] for part in split)), Split(*(part[held] for part in split))


def standardise(train: Split, *others: Split) -> tuple[Split, ...]:
    """Shift and scale the inputs of all splits so that those of ``train`` have mean 0, variance 1.

    One mean and one deviation for all features: a pixel that is nearly always blank is not blown
    up.
    """
    mean, deviation = train.inputs.mean(), train.inputs.std()
    return tuple(
        split._replace(inputs=(split.inputs - mean) / deviation) for split in (train, *others)
    )


def as_split(images: np.ndarray, labels: np.ndarray) -> Split:
    """Return images (examples, ...) and labels (examples,) as a Split, one row for each image."""
    import torch

    inputs = torch.tensor(images, dtype=torch.float32).flatten(1)
    return Split(inputs, torch.tensor(labels, dtype=torch.int64))
