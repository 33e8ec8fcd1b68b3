"""The data of a problem as tensors, which is what can be cut for many trainings at once."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from thalweg.errors import BadValue
from thalweg.problems import Problem, Split
from thalweg.training import randomness
from thalweg.training.data.forms import Batch, Examples, Rows, as_data

LARGEST = 2**30
"""Bytes of a Dataset that is read into memory; a larger one is gone through by every training."""

PIECE = 1000
"""How many examples of a Dataset are read at once."""


def as_tensors(problem: Problem) -> Problem:
    """Return the problem with arrays and Datasets as tensors, read once instead of by every run.

    Arrays and memory maps are not copied. A Dataset stays what it is where it is too large, where
    it draws random numbers, as augmentation does, or where its examples are no tensors of one
    shape; so does a DataLoader.
    """
    parts = {part: getattr(problem, part) for part in ("train", "validation", "test")}
    read = {part: _read(data) for part, data in parts.items()}
    changed = {part: data for part, data in read.items() if data is not parts[part]}
    return replace(problem, **changed).from_source(problem.source) if changed else problem


def _read(data: Any) -> Any:
    """Return data as a Split of tensors where they can be that."""
    if isinstance(data, Split):
        arrays = any(isinstance(part, np.ndarray) for part in data)
        return Split(*map(_tensor, data)) if arrays else data
    if not isinstance(data, Dataset) or isinstance(data, IterableDataset):
        return data
    rows = as_data(data)
    if isinstance(rows, Rows):
        return Split(rows.inputs, rows.targets)
    assert isinstance(rows, Examples)
    before = randomness.capture()
    try:
        return _all(rows) or data
    finally:
        randomness.restore(before)


def _tensor(rows: Any) -> Tensor:
    """Return an array as a tensor that shares its memory, which nothing writes to."""
    if isinstance(rows, Tensor):
        return rows
    backwards = any(stride < 0 for stride in rows.strides)
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return torch.from_numpy(rows.copy() if backwards else rows)


def _all(rows: Examples) -> Split | None:
    """Return all examples, None where they are better left where they are."""
    if _bytes(rows) > LARGEST:
        return None
    pieces: list[Batch] = []
    for begin in range(0, len(rows), PIECE):
        piece = _lasting(rows, range(begin, min(begin + PIECE, len(rows))))
        if piece is None or _kinds(piece) != _kinds((pieces or [piece])[0]):
            return None
        pieces.append(piece)
    return Split(*map(torch.cat, zip(*pieces, strict=True)))


def _bytes(rows: Examples) -> int:
    """Return the size of all examples, going by the first one; 0 where that is no tensor."""
    return len(rows) * sum(getattr(part, "nbytes", 0) for part in rows.take(range(1)))


def _lasting(rows: Examples, places: range) -> Batch | None:
    """Return examples that were the same tensors when read again, without random numbers."""
    before = randomness.capture()
    try:
        first, again = (rows.take(places) for _ in range(2))
    except (RuntimeError, TypeError):
        return None
    alike = _same(before, randomness.capture()) and all(map(_equal, first, again))
    return first if alike else None


def _same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether no random numbers were drawn between two looks at the generators."""
    numbers = zip(before["numpy"], after["numpy"], strict=True)
    return (
        torch.equal(before["torch"], after["torch"])
        and before["python"] == after["python"]
        and all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in numbers)
    )


def _equal(this: Any, that: Any) -> bool:
    """Whether both are tensors of the same bytes; a NaN is equal to itself."""
    if not (isinstance(this, Tensor) and isinstance(that, Tensor)):
        return False
    alike = this.shape == that.shape and this.dtype == that.dtype
    return alike and torch.equal(*(_as_bytes(each) for each in (this, that)))


def _as_bytes(part: Tensor) -> Tensor:
    return part.detach().contiguous().view(torch.uint8)


def _kinds(batch: Batch) -> list[tuple]:
    return [(each.shape[1:], each.dtype) for each in batch]


def tensors(data: Any, name: str = "train") -> tuple[Tensor, Tensor]:
    """Return the inputs and targets of a Split; BadValue for data in another form, or none."""
    if not isinstance(data, Split):
        raise BadValue(
            f"{name} is {'none' if data is None else 'a ' + type(data).__name__}, and only tensors "
            "and arrays can be cut for many trainings at once."
        )
    return _tensor(data.inputs), _tensor(data.targets)
