"""What is wrong with data is said before the first update: empty, mislabelled, NaN, overlapping."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from thalweg.errors import BadType, BadValue
from thalweg.problems.problem import Data, Loss, Problem, Split

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_SCANNED = 2**26
_CHUNK = 2**20
_IGNORED = -100
_TOLERATED = 0.05
_PROBE = 32


def validate(problem: Problem) -> None:
    """Refuse a problem that cannot be trained: all checks of this file, one forward pass.

    Raises BadValue or BadType, naming the part that is wrong.
    """
    parts = {"train": problem.train, "validation": problem.validation, "test": problem.test}
    given = {name: part for name, part in parts.items() if part is not None}
    for name, part in given.items():
        check_data(part, name)
        if name != "train":
            check_apart(problem.train, part, name)
    check_batch_size(problem.batch_size, problem.train)
    model = problem.make_model(0)
    for name, part in given.items():
        check_model(model, problem.loss, part, name)


def check_data(data: Data, name: str = "train") -> None:
    """Refuse data that is empty, of the wrong kind, of unequal lengths, or not finite.

    Tensors and arrays are read whole, a memory map up to its first 67 million numbers, and of
    another Dataset the first example. ``name`` is what the error calls the data.
    """
    dataset = _dataset(data)
    if isinstance(dataset, Split):
        _check_split(dataset, name)
    else:
        _check_examples(dataset, name)


def check_apart(train: Data, validation: Data, name: str = "validation") -> None:
    """Refuse a validation set that contains training examples; say how many.

    Compares rows of inputs for tensors and arrays, and indices for two Subsets of one Dataset. Some
    data repeat themselves: rows that are shared no more often than rows repeat inside ``train``,
    plus one in twenty, only cause a warning.
    """
    first, second = _dataset(train), _dataset(validation)
    if first is second or _same_arrays(first, second):
        raise BadValue(f"{name} is the training set itself; hold out examples that train lacks.")
    shared, total, allowed = _overlap(first, second)
    if not shared:
        return
    message = (
        f"{shared:,} of {total:,} examples of {name} are also in train; split the data so that "
        "each example is in one part only."
    )
    if shared > allowed:
        raise BadValue(message)
    warnings.warn(message, stacklevel=2)


def check_batch_size(batch_size: int | str, train: Data) -> None:
    """Refuse a batch size that is neither ``"all"`` nor a number from 1 to the size of ``train``.

    A DataLoader brings its own batches, so nothing is compared with it.
    """
    from torch.utils.data import DataLoader

    if batch_size == "all" or isinstance(train, DataLoader):
        return
    if isinstance(batch_size, bool) or not isinstance(batch_size, int):
        raise BadType(f"batch size should be a whole number or 'all', got {batch_size!r}.")
    size = count(train)
    if batch_size < 1 or (size is not None and batch_size > size):
        bounds = "at least 1" if size is None else f"from 1 to {size:,}, the examples of train"
        raise BadValue(f"batch size should be {bounds}, or 'all'; got {batch_size:,}.")


def check_model(model: nn.Module, loss: Loss, data: Data, name: str = "train") -> None:
    """Refuse a model that fails on a first batch of ``data``, or labels it has no output for.

    Runs one forward pass without gradients and leaves the model, and torch's random state, as they
    were. The labels of tensors and arrays are all compared, of another Dataset those of the batch.
    """
    inputs, targets = first_batch(data, name=name)
    with _untouched(model):
        shown = f"{name} (inputs {_described(inputs)}, targets {_described(targets)})"
        with _explained(f"the model fails on the first examples of {shown}"):
            output = model(inputs)
        _check_labels(output, targets, _dataset(data), name)
        with _explained(f"the loss fails on the first examples of {shown}"):
            value = loss(output, targets)
    _check_loss(value, loss, output, targets)


def first_batch(data: Data, size: int = _PROBE, name: str = "train") -> tuple[Tensor, Tensor]:
    """Return the first examples of ``data``, at most ``size``, as (inputs, targets).

    A DataLoader is not iterated: its examples are collated in the order of its Dataset.
    """
    import torch

    dataset = _dataset(data)
    with torch.random.fork_rng(devices=[]):
        if isinstance(dataset, Split):
            batch = [torch.as_tensor(part[:size]) for part in dataset]
        else:
            batch = _collated(data, dataset, size)
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise BadType(f"each example of {name} should be a pair (input, target).")
    return batch[0], batch[1]


def count(data: Data) -> int | None:
    """Return the number of examples of ``data``; None for an iterable that does not say."""
    dataset = _dataset(data)
    try:
        return len(dataset.inputs if isinstance(dataset, Split) else dataset)
    except TypeError:
        return None


def _dataset(data: Any) -> Any:
    """Return the Split or Dataset behind ``data``; a TensorDataset of two tensors is a Split."""
    from torch.utils.data import DataLoader, TensorDataset

    if isinstance(data, DataLoader):
        return _dataset(data.dataset)
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:
        return Split(*data.tensors)
    return data


def _check_split(split: Split, name: str) -> None:
    _check_kinds(split, name)
    if len(split.inputs) != len(split.targets):
        raise BadValue(
            f"{name} has {len(split.inputs):,} inputs and {len(split.targets):,} targets; each "
            "input needs one target."
        )
    if not len(split.inputs):
        raise BadValue(f"{name} is empty; give it at least one example.")
    _check_finite(split.inputs, f"the inputs of {name}")
    if split.targets is not split.inputs:
        _check_finite(split.targets, f"the targets of {name}")


def _check_kinds(split: Split, name: str) -> None:
    import numpy as np
    import torch

    for part, rows in zip(split._fields, split, strict=True):
        if not isinstance(rows, torch.Tensor | np.ndarray):
            raise BadType(
                f"the {part} of {name} should be a tensor or a numpy array, got a "
                f"{type(rows).__name__}; torch.tensor(...) makes one of numbers."
            )
        if not rows.ndim or (isinstance(rows, np.ndarray) and rows.dtype.kind not in "fiub"):
            raise BadType(
                f"the {part} of {name} should be numbers with one row per example, got "
                f"{_described(rows)}."
            )


def _check_finite(rows: Any, name: str) -> None:
    for start, chunk in _chunks(rows):
        if not chunk.is_floating_point():
            return
        bad = ~chunk.isfinite().flatten(1).all(1) if chunk.ndim > 1 else ~chunk.isfinite()
        if bad.any():
            row = start + int(bad.nonzero()[0])
            raise BadValue(
                f"{name} hold NaN or infinity, first in row {row:,}; remove or replace such rows."
            )


def _chunks(rows: Any) -> Iterator[tuple[int, Tensor]]:
    """Yield (first row, rows) as tensors of about a million numbers; stop early in a memory map."""
    import numpy as np
    import torch

    width = max(1, int(np.prod(rows.shape[1:])))
    count = min(len(rows), _SCANNED // width) if isinstance(rows, np.memmap) else len(rows)
    height = max(1, _CHUNK // width)
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        for start in range(0, count, height):
            yield start, torch.as_tensor(rows[start : min(start + height, count)])


def _check_examples(dataset: Any, name: str) -> None:
    from torch.utils.data import Dataset

    if not isinstance(dataset, Dataset):
        raise BadType(
            f"{name} should be a pair (inputs, targets), a torch Dataset or a DataLoader, got a "
            f"{type(dataset).__name__}."
        )
    if count(dataset) == 0:
        raise BadValue(f"{name} is empty; give it at least one example.")
    for part in first_batch(dataset, 1, name):
        if hasattr(part, "isfinite") and not part.isfinite().all():
            raise BadValue(f"the first example of {name} holds NaN or infinity; repair the data.")


def _collated(data: Any, dataset: Any, size: int) -> Any:
    from torch.utils.data import DataLoader, default_collate

    if not isinstance(data, DataLoader):
        return default_collate(list(_examples(dataset, size)))
    if data.batch_sampler is None and data.batch_size is None:
        return data.collate_fn(next(iter(_examples(dataset, 1))))
    return data.collate_fn(list(_examples(dataset, min(size, data.batch_size or size))))


def _examples(dataset: Any, wanted: int) -> Iterator[Any]:
    from itertools import islice

    from torch.utils.data import IterableDataset

    if isinstance(dataset, IterableDataset):
        yield from islice(iter(dataset), wanted)
    else:
        yield from (dataset[index] for index in range(min(wanted, count(dataset) or wanted)))


def _same_arrays(first: Any, second: Any) -> bool:
    both = isinstance(first, Split) and isinstance(second, Split)
    return both and first.inputs is second.inputs


def _overlap(first: Any, second: Any) -> tuple[int, int, float]:
    """Return how many examples are shared, of how many, and how many the data's repeats excuse."""
    from torch.utils.data import Subset

    if isinstance(first, Subset) and isinstance(second, Subset):
        if first.dataset is not second.dataset:
            return 0, len(second), 0
        return len(set(first.indices) & set(second.indices)), len(second), 0
    if isinstance(first, Split) and isinstance(second, Split):
        return _shared_rows(first.inputs, second.inputs)
    return 0, 0, 0


def _shared_rows(first: Any, second: Any) -> tuple[int, int, float]:
    import torch

    if first.shape[1:] != second.shape[1:]:
        return 0, len(second), 0
    dtype = torch.promote_types(*(torch.as_tensor(rows[:1]).dtype for rows in (first, second)))
    seen = list(_hashes(first, dtype))
    known = set(seen)
    found = [each in known for each in _hashes(second, dtype)]
    repeats = 1 - len(known) / max(1, len(seen))
    return sum(found), len(found), len(found) * (2 * repeats + _TOLERATED)


def _hashes(rows: Any, dtype: torch.dtype) -> Iterator[int]:
    import torch

    for _, chunk in _chunks(rows):
        flat = chunk.detach().to("cpu", dtype).reshape(len(chunk), -1)
        yield from map(hash, map(bytes, flat.view(torch.uint8).numpy()))


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Evaluate without gradients; modes and torch's random state are put back."""
    import torch

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BadValue(f"{what}: {type(error).__name__}: {error}") from error


def _check_labels(output: Any, targets: Any, dataset: Any, name: str) -> None:
    classes = _classes(output, targets)
    if classes is None:
        return
    labels = [targets] if not isinstance(dataset, Split) else _chunks(dataset.targets)
    start = 0
    for item in labels:
        start, chunk = item if isinstance(item, tuple) else (0, item)
        wrong = ((chunk < 0) & (chunk != _IGNORED)) | (chunk >= classes)
        if wrong.any():
            place = wrong.nonzero()[0]
            raise BadValue(
                f"row {start + int(place[0]):,} of {name} is labelled {chunk[tuple(place)]}, but "
                f"the model has {classes} outputs, for the labels 0 to {classes - 1}."
            )


def _classes(output: Any, targets: Any) -> int | None:
    """Return the number of classes the output tells apart; None where targets are not classes."""
    tensors = hasattr(output, "shape") and hasattr(targets, "is_floating_point")
    if not tensors or targets.is_floating_point() or output.ndim != targets.ndim + 1:
        return None
    if output.shape[:-1] == targets.shape:
        return output.shape[-1]
    return output.shape[1]


def _check_loss(value: Any, loss: Loss, output: Any, targets: Any) -> None:
    from torch.nn.functional import mse_loss

    if tuple(getattr(value, "shape", (0,))) != ():
        raise BadValue(
            f"the loss should be the mean over the batch, one number, got {_described(value)}."
        )
    if loss is mse_loss and output.shape != targets.shape:
        raise BadValue(
            f"the model's output has shape {tuple(output.shape)} and the targets "
            f"{tuple(targets.shape)}; the squared error would pair them wrongly."
        )


def _described(value: Any) -> str:
    if not hasattr(value, "shape"):
        return f"a {type(value).__name__}"
    return f"{tuple(value.shape)} {value.dtype}".replace("torch.", "")
