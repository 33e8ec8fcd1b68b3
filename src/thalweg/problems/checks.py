"""What is wrong with data is said before the first update: empty, mislabelled, NaN, overlapping."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.problems.examples import count, examples_of, first_batch
from thalweg.problems.modes import in_mode
from thalweg.problems.problem import Data, Loss, Problem, Split, own_gradient
from thalweg.problems.rows import check_kind, pieces, shared_rows

if TYPE_CHECKING:
    from torch import Tensor, nn

_IGNORED = -100
_TOLERATED = 0.05
_NEARLY = 1e-4
_FAILURES = (RuntimeError, TypeError, ValueError, IndexError, AttributeError)


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
    check_made_anew(problem.make_model(0), problem.make_model(0))


def check_data(data: Data, name: str = "train") -> None:
    """Refuse data that is empty, of the wrong kind, of unequal lengths, or not finite.

    It may also be a plain pair (inputs, targets). Tensors and arrays are read whole, a memory map
    up to its first 4 million numbers, and of another Dataset the first example. ``name`` is what
    the error calls the data.
    """
    dataset = examples_of(data)
    if isinstance(dataset, Split):
        _check_split(dataset, name)
    else:
        _check_examples(dataset, name)
    _check_batches(data, name)


def check_apart(train: Data, validation: Data, name: str = "validation") -> None:
    """Refuse a validation set that contains training examples; say how many.

    Compares rows of inputs for tensors and arrays, and indices for two Subsets of one Dataset. Some
    data repeat themselves: rows that are shared no more often than rows repeat inside ``train``,
    plus one in twenty, only cause a warning.
    """
    if train is validation or _same_inputs(train, validation):
        raise BadValue(f"{name} is the training set itself; hold out examples that train lacks.")
    shared, allowed = _overlap(train, validation)
    if not shared:
        return
    message = (
        f"{shared:,} of {count(validation):,} examples of {name} are also in train; split the data "
        "so that each example is in one part only."
    )
    if shared > allowed:
        raise BadValue(message)
    warnings.warn(message, stacklevel=2)


def check_batch_size(batch_size: Any, train: Data) -> None:
    """Refuse a batch size that is neither ``"all"`` nor a number from 1 to the size of ``train``.

    A DataLoader brings its own batches, so nothing is compared with it.
    """
    from torch.utils.data import DataLoader

    if batch_size != "all" and not isinstance(train, DataLoader):
        check_batch(batch_size, count(train))


def check_batch(batch: Any, examples: int | None) -> None:
    """Refuse what is no number from 1 to that of the *examples*; None where that is unknown."""
    if isinstance(batch, str):
        raise BadType(f'batch={batch!r}; expected a whole number, or "all".')
    check_count("batch", batch)
    if examples is not None and batch > examples:
        raise BadValue(
            f"batch={batch:,} is more than the {examples:,} examples there are. Use a smaller "
            'batch, or batch="all" for one update with all of them.'
        )


def check_model(model: nn.Module, loss: Loss, data: Data, name: str = "train") -> None:
    """Refuse a model that fails on a first batch of ``data``, or labels it has no output for.

    Runs one forward pass and leaves the model, and torch's random state, as they were. The labels
    of tensors and arrays are all compared, of another Dataset those of the batch; what a single
    output means is left to the loss. A loss without a gradient is refused too, unless it writes its
    own, and one that is the sum over the examples instead of their mean.
    """
    inputs, targets = (_beside(model, part) for part in first_batch(data, name=name))
    with _untouched(model):
        shown = f"{name} (inputs {_described(inputs)}, targets {_described(targets)})"
        with _explained(
            f"the model fails on the first examples of {shown}", _inputs_hint(model, inputs)
        ):
            output = model(inputs)
        labels = partial(_check_labels, output, targets, examples_of(data), name)
        if _classes(output, targets) != 1:
            labels()
        try:
            with _explained(
                f"the loss fails on the first examples of {shown}", _targets_hint(output, targets)
            ):
                value = loss(output, targets)
        except BadValue:
            labels()
            raise
    _check_loss(value, loss, output, targets)
    _check_mean(value, loss, output, targets)
    _warn_of_weights(loss)


def _warn_of_weights(loss: Loss) -> None:
    """Say of a loss with parameters that they are not trained."""
    from torch import nn

    if isinstance(loss, nn.Module) and any(each.requires_grad for each in loss.parameters()):
        warnings.warn(
            "the loss has parameters of its own, and only those of the model are trained. Make "
            "them part of the model, or fix them with requires_grad_(False).",
            stacklevel=3,
        )


def check_made_anew(model: nn.Module, again: nn.Module) -> None:
    """Refuse two models, made with the same seed, that share parameters or begin differently."""
    import torch
    from torch.nn.parameter import is_lazy

    first, second = dict(model.named_parameters()), dict(again.named_parameters())
    if {id(each) for each in first.values()} & {id(each) for each in second.values()}:
        raise BadValue(
            "model() returns the same module, or one with the same parameters, each time: every "
            "training would go on from the one before. Build a new module inside model()."
        )
    differ = first.keys() != second.keys() or not all(
        is_lazy(each) or torch.equal(each, second[name]) for name, each in first.items()
    )
    if differ:
        raise BadValue(
            "model() begins with other weights each time it is called with the same seed, so that "
            "no training could be repeated. Draw them from torch's own generator, as torch.nn "
            "does; it is seeded before each call."
        )


def _beside(model: nn.Module, part: Any) -> Any:
    """Return a tensor on the device of the model's parameters, anything else as it is."""
    devices = [parameter.device for parameter in model.parameters()]
    return part.to(devices[0]) if devices and hasattr(part, "to") else part


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
        if not rows.ndim or (isinstance(rows, np.ndarray) and rows.dtype.kind not in "fiubc"):
            raise BadType(
                f"the {part} of {name} should be numbers with one row per example, got "
                f"{_described(rows)}."
            )
        check_kind(rows)


def _check_finite(rows: Any, name: str) -> None:
    for start, chunk in pieces(rows):
        if not chunk.is_floating_point():
            return
        if chunk.sum().isfinite():
            continue
        bad = ~chunk.isfinite().flatten(1).all(1) if chunk.ndim > 1 else ~chunk.isfinite()
        if bad.any():
            row = start + int(bad.nonzero()[0])
            raise BadValue(
                f"{name} hold NaN or infinity, first in row {row:,}; remove or replace such rows."
            )


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


def _same_inputs(train: Data, validation: Data) -> bool:
    first, second = examples_of(train), examples_of(validation)
    if isinstance(first, Split) and isinstance(second, Split):
        return first.inputs is second.inputs
    return first is second


def _overlap(train: Data, validation: Data) -> tuple[int, float]:
    """Return how many examples are shared, and how many the data's own repeats excuse."""
    (ours, indices), (theirs, others) = _origin(train), _origin(validation)
    if ours is theirs:
        return len(set(indices) & set(others)), 0
    first, second = examples_of(train), examples_of(validation)
    if not (isinstance(first, Split) and isinstance(second, Split)):
        return 0, 0
    shared, repeats = shared_rows(first.inputs, second.inputs)
    return shared, len(second.inputs) * (2 * repeats / len(first.inputs) + _TOLERATED)


def _origin(data: Any) -> tuple[Any, Iterable[int]]:
    """Return the Dataset that ``data`` draws from, and the numbers of its examples there."""
    from torch.utils.data import DataLoader, Subset

    if isinstance(data, DataLoader):
        return _origin(data.dataset)
    if isinstance(data, Subset):
        return data.dataset, data.indices
    return data, range(count(data) or 0)


def _check_batches(data: Data, name: str) -> None:
    from torch.utils.data import DataLoader

    try:
        batches = len(data) if isinstance(data, DataLoader) else 1
    except TypeError:
        return
    if not batches:
        raise BadValue(
            f"the loader of {name} yields no batch; lower its batch size, or leave out drop_last."
        )


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Evaluate; modes and torch's random state are put back.

    Torch's warning of shapes that differ is left out: such losses are refused, and say so.
    """
    import torch

    with (
        in_mode(model, training=False), torch.random.fork_rng(devices=[]), torch.enable_grad(),
        warnings.catch_warnings(),
    ):  # fmt: skip
        warnings.filterwarnings("ignore", "Using a target size")
        yield


@contextmanager
def _explained(what: str, hint: str) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        raise BadValue(f"{what}: {type(error).__name__}: {error}{hint}") from error


def _inputs_hint(model: nn.Module, inputs: Any) -> str:
    """Say how to mend inputs of another type than the model's numbers; nothing where they agree."""
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
    if len(kinds) != 1 or not hasattr(inputs, "dtype") or inputs.dtype in kinds:
        return ""
    (kind,) = (str(each).removeprefix("torch.") for each in kinds)
    return (
        f". The model computes in {kind}: if its inputs are numbers, give them as such, with "
        f'.astype("{kind}") of an array or .to(torch.{kind}) of a tensor.'
    )


def _targets_hint(output: Any, targets: Any) -> str:
    """Say how to mend labels that are no 64-bit whole numbers, or numbers of another type."""
    import torch

    if not isinstance(targets, torch.Tensor) or not isinstance(output, torch.Tensor):
        return ""
    if targets.is_floating_point() and targets.dtype != output.dtype:
        kind = str(output.dtype).removeprefix("torch.")
    elif not targets.is_floating_point() and targets.dtype != torch.int64:
        kind = "int64"
    else:
        return ""
    return (
        f'. Targets are expected as {kind} here: .astype("{kind}") of an array, or '
        f".to(torch.{kind}) of a tensor."
    )


def _check_labels(output: Any, targets: Any, dataset: Any, name: str) -> None:
    classes = _classes(output, targets)
    if classes is None:
        return
    labels = [targets] if not isinstance(dataset, Split) else pieces(dataset.targets)
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
            "the loss should be the mean over the batch, a tensor of one number and no dimensions, "
            f"got {_described(value)}."
        )
    if not value.requires_grad and own_gradient(loss) is None:
        raise BadValue(
            "the loss has no gradient: no parameter of the model requires one, or the loss or the "
            "model cuts it off, as detach(), item() and numpy() do."
        )
    if loss is mse_loss and output.shape != targets.shape:
        raise BadValue(
            f"the model's output has shape {tuple(output.shape)} and the targets "
            f"{tuple(targets.shape)}; the squared error would pair them wrongly."
        )


def _check_mean(value: Tensor, loss: Loss, output: Any, targets: Any) -> None:
    """Refuse a loss that doubles where every example comes twice, as the sum over them does."""
    import torch

    try:
        with torch.no_grad():
            twice = loss(*(torch.cat([part, part]) for part in (output, targets)))
    except _FAILURES:
        return
    if value.item() and abs(twice.item() / value.item() - 2) < _NEARLY:
        raise BadValue(
            "the loss grows with the number of examples, as a sum does; return their mean, such as "
            'with reduction="mean".'
        )


def _described(value: Any) -> str:
    if not hasattr(value, "shape"):
        return f"a {type(value).__name__}"
    return f"{tuple(value.shape)} {value.dtype}".replace("torch.", "")
