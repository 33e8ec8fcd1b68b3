"""Training data in whatever form it comes: rows of tensors or arrays, a data set, or a loader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torch.utils.data import default_collate as collate

from thalweg.errors import BadType, BadValue
from thalweg.problems.rows import check_kind

Batch = tuple[Any, Any]
Indices = Tensor | range


class Examples(ABC):
    """A training set whose examples can be asked for by number."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of examples."""

    @abstractmethod
    def take(self, indices: Indices) -> Batch:
        """Return the inputs and targets of these examples, one row for each."""


class Rows(Examples):
    """Inputs and targets as tensors, arrays or memory maps with one row for each example."""

    def __init__(self, inputs: Any, targets: Any) -> None:
        lengths = [len(part) for part in (inputs, targets)]
        if lengths[0] != lengths[1]:
            raise BadValue(
                f"the data have {lengths[0]:,} inputs and {lengths[1]:,} targets; expected as many "
                "of one as of the other."
            )
        for part in (inputs, targets):
            check_kind(part)
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: Indices) -> Batch:
        """Return rows; of a memory map only these are read."""
        return _rows(self.inputs, indices), _rows(self.targets, indices)


def _rows(part: Any, indices: Indices) -> Tensor:
    if isinstance(indices, range):
        part = part[indices.start : indices.stop]
        return part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
    if isinstance(part, Tensor):
        return part.index_select(0, indices.to(part.device))
    return torch.from_numpy(part[indices.numpy()])


class Items(Examples):
    """A map-style `Dataset` of (input, target) pairs."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset: Any = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, indices: Indices) -> Batch:
        """Return the items, collated as a `DataLoader` does."""
        numbers = list(indices) if isinstance(indices, range) else indices.tolist()
        fetch = getattr(self.dataset, "__getitems__", None)
        items = fetch(numbers) if fetch else [self.dataset[number] for number in numbers]
        return _pair(collate(items))


class Chosen(Examples):
    """Some of other examples, by their *numbers*, which may repeat; nothing is copied."""

    def __init__(self, whole: Examples, numbers: Tensor) -> None:
        self.whole, self.numbers = whole, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, indices: Indices) -> Batch:
        """Return the rows of the whole that these numbers lead to."""
        if isinstance(indices, range):
            return self.whole.take(self.numbers[indices.start : indices.stop])
        return self.whole.take(self.numbers[indices])


class Stream:
    """A loader or another iterable of (inputs, targets) batches that can be gone through again."""

    def __init__(self, batches: Iterable) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return map(_pair, iter(self.batches))

    @property
    def generators(self) -> list[torch.Generator]:
        """What a loader and its samplers draw from, where that is not torch's own generator."""
        outer = getattr(self.batches, "batch_sampler", None)
        inner = (getattr(each, "sampler", None) for each in (self.batches, outer))
        found = [getattr(each, "generator", None) for each in (self.batches, outer, *inner)]
        own = {id(each): each for each in found if isinstance(each, torch.Generator)}
        return list(own.values())


Data = Examples | Stream


def as_data(data: Any) -> Data:
    """Return *data* as one of the forms above, or raise BadType.

    It may be a pair of tensors, arrays or memory maps, a `Dataset`, a `DataLoader`, or an iterable
    of batches. An iterator, which can be gone through but once, is refused.
    """
    match data:
        case Examples() | Stream():
            return data
        case TensorDataset(tensors=(inputs, targets)) if type(data) is TensorDataset:
            return Rows(inputs, targets)
        case Subset(dataset=TensorDataset(tensors=(inputs, targets))) if _is_plain(data):
            numbers = torch.as_tensor(data.indices, dtype=torch.int64)
            return Chosen(Rows(inputs, targets), numbers)
        case DataLoader():
            return Stream(data)
        case IterableDataset():
            raise BadType(
                "an IterableDataset does not say how it is cut into batches; pass "
                "DataLoader(dataset, batch_size=...)."
            )
        case Dataset():
            return Items(data)
        case (inputs, targets) if _is_table(inputs) and _is_table(targets):
            return Rows(inputs, targets)
        case Iterator():
            raise BadType(
                f"the data are a {type(data).__name__}, which can be gone through only once; pass "
                "something that begins anew in every epoch, such as a DataLoader."
            )
        case Iterable() if not _is_table(data) and not isinstance(data, (str, bytes, dict)):
            return Stream(data)
    raise BadType(
        f"the data are {type(data).__name__}; expected a pair of tensors or arrays (inputs, "
        "targets), a Dataset, or a DataLoader."
    )


def _is_plain(data: Subset) -> bool:
    """Whether it is rows by their numbers from 0, and its classes change nothing about them."""
    if type(data) is not Subset or type(data.dataset) is not TensorDataset:
        return False
    numbers = torch.as_tensor(data.indices)
    return not len(numbers) or bool(numbers.min() >= 0 and numbers.max() < len(data.dataset))


def _is_table(part: Any) -> bool:
    return isinstance(part, (Tensor, np.ndarray)) and part.ndim > 0


def _pair(batch: Any) -> Batch:
    if not isinstance(batch, Sequence) or len(batch) != 2:
        raise BadType(
            f"a batch is {type(batch).__name__}; expected a pair (inputs, targets). Give the data "
            "set a __getitem__, or the loader a collate_fn, that returns one."
        )
    return batch[0], batch[1]


def size_of(batch: Batch) -> int:
    """Return the number of examples in a batch."""
    if isinstance(batch[1], Tensor) and not batch[1].ndim:
        raise BadType(
            "the loader yields single examples; expected batches, one row for each example. Give "
            "it a batch_size."
        )
    return len(batch[1])


def moved(part: Any, device: torch.device) -> Any:
    """Return tensors, also inside dicts, lists and tuples, on *device*."""
    if isinstance(part, Tensor):
        return part if part.device == device else part.to(device, non_blocking=True)
    if isinstance(part, dict):
        return {key: moved(each, device) for key, each in part.items()}
    if isinstance(part, (list, tuple)):
        return type(part)(moved(each, device) for each in part)
    return part
