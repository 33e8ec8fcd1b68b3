"""Data are read once and kept as batches, so that every product sees the same examples."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from thalweg.errors import BadType, BadValue
from thalweg.problems import Split
from thalweg.problems.examples import examples_of


class Batch(NamedTuple):
    """Some examples: inputs and targets as the model and the loss take them, and how many."""

    inputs: Any
    targets: Any
    examples: int


def read(data: Any, size: int) -> list[Batch]:
    """Return all of *data*: a loader's own batches, of anything else *size* examples at a time.

    *data* is a pair (inputs, targets), a Split, a Dataset, a DataLoader or an iterable of pairs.
    Torch's random numbers are afterwards as they were. Raises BadValue where there is no example,
    BadType for what is no such thing.
    """
    with torch.random.fork_rng(devices=[]):
        batches = [_batch(pair) for pair in _pairs(data, size)]
    if not batches:
        raise BadValue(
            "the data hold no examples; an iterator that was gone through before is empty. Give a "
            "DataLoader, a data set or a pair (inputs, targets)."
        )
    return batches


def _pairs(data: Any, size: int) -> Iterator[Any]:
    found = data if isinstance(data, DataLoader) else examples_of(data)
    if isinstance(found, Split):
        for begin in range(0, len(found.inputs), size):
            yield tuple(torch.as_tensor(part[begin : begin + size]) for part in found)
    elif isinstance(found, Dataset) and not isinstance(found, (DataLoader, IterableDataset)):
        yield from DataLoader(found, batch_size=size, collate_fn=default_collate)
    elif hasattr(found, "__iter__") and not isinstance(found, Tensor):
        yield from found
    else:
        raise BadType(
            f"data is a {type(data).__name__}; expected a pair (inputs, targets), a Split, a "
            "Dataset, a DataLoader or an iterable of such pairs."
        )


def _batch(pair: Any) -> Batch:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise BadType(f"a batch is a {type(pair).__name__}; expected a pair (inputs, targets).")
    inputs, targets = pair
    return Batch(inputs, targets, _count(inputs))


def _count(inputs: Any) -> int:
    """Return the number of examples, the length of the first tensor that is found."""
    while not isinstance(inputs, Tensor):
        values = list(inputs.values()) if isinstance(inputs, dict) else inputs
        if not isinstance(values, (tuple, list)) or not values:
            raise BadType(f"the inputs of a batch are {type(inputs).__name__}; expected tensors.")
        inputs = values[0]
    return len(inputs)


def placed(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Return tensors, in any nesting, on *device*, and those of real numbers in *dtype*."""
    if isinstance(value, Tensor):
        return value.to(device, dtype if value.is_floating_point() else None)
    if isinstance(value, dict):
        return type(value)({k: placed(each, device, dtype) for k, each in value.items()})
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(placed(each, device, dtype) for each in value))
    if isinstance(value, (tuple, list)):
        return type(value)(placed(each, device, dtype) for each in value)
    return value
