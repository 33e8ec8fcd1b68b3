"""Data in any form: what stands behind it, how many examples it has, and the first of them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from thalweg.errors import BadType, BadValue
from thalweg.problems.problem import Data, Split

if TYPE_CHECKING:
    from torch import Tensor

_PROBE = 32


def examples_of(data: Any) -> Any:
    """Return the Split or Dataset behind ``data``; a pair and a TensorDataset of two are Splits."""
    from torch.utils.data import DataLoader, TensorDataset

    if isinstance(data, DataLoader):
        return examples_of(data.dataset)
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:
        return Split(*data.tensors)
    if type(data) is tuple and len(data) == 2:
        return Split(*data)
    return data


def count(data: Data) -> int | None:
    """Return the number of examples of ``data``; None for an iterable that does not say."""
    dataset = examples_of(data)
    try:
        return len(dataset.inputs if isinstance(dataset, Split) else dataset)
    except TypeError:
        return None


def first_batch(data: Data, size: int = _PROBE, name: str = "train") -> tuple[Tensor, Tensor]:
    """Return the first examples of ``data``, at most ``size``, as (inputs, targets).

    A DataLoader is not iterated: its examples are collated in the order of its Dataset.
    """
    import torch

    dataset = examples_of(data)
    with torch.random.fork_rng(devices=[]):
        if isinstance(dataset, Split):
            batch = [torch.as_tensor(_copied(part[:size])) for part in dataset]
        else:
            batch = _collated(data, dataset, size)
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise BadType(
            f"a batch of {name} is {type(batch).__name__}; expected a pair (inputs, targets). Give "
            "the data set a __getitem__, or the loader a collate_fn, that returns one."
        )
    return batch[0], batch[1]


def _copied(rows: Any) -> Any:
    """Return arrays copied, because torch takes those of a read-only memory map with a warning."""
    return rows if hasattr(rows, "clone") else rows.copy()


def _collated(data: Any, dataset: Any, size: int) -> Any:
    from torch.utils.data import DataLoader, default_collate

    if not isinstance(data, DataLoader):
        return default_collate(_examples(dataset, size))
    if data.batch_sampler is None and data.batch_size is None:
        return data.collate_fn(_examples(dataset, 1)[0])
    return data.collate_fn(_examples(dataset, min(size, data.batch_size or size)))


def _examples(dataset: Any, wanted: int) -> list[Any]:
    from torch.utils.data import IterableDataset

    if not isinstance(dataset, IterableDataset):
        return [dataset[index] for index in range(min(wanted, count(dataset) or wanted))]
    found = list(islice(iter(dataset), wanted))
    if not found:
        raise BadValue("an iterable data set is empty; let it yield at least one example.")
    return found
