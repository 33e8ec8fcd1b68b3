"""A problem of one's own is a model function and data; the rest has defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from thalweg.arguments import check_count
from thalweg.errors import BadType
from thalweg.problems.checks import check_batch_size, check_data, validate
from thalweg.problems.examples import count, first_batch
from thalweg.problems.problem import Data, Loss, Problem, Split
from thalweg.problems.seeded import seeded

if TYPE_CHECKING:
    from torch import nn

Blame = Callable[[str], AbstractContextManager]
"""Says of what goes wrong inside, where the part of that name comes from."""

_DEFAULTS = {"valid": None, "test": None, "loss": None, "batch": None, "epochs": 10}
_BATCH = 32
_PARTS = {"train": "train", "validation": "valid", "test": "test"}


def define(
    model: Callable[[], nn.Module],
    train: Data,
    valid: Data | None = None,
    test: Data | None = None,
    *,
    loss: Loss | None = None,
    batch: int | Literal["all"] | None = None,
    epochs: int = 10,
    name: str = "problem",
) -> Problem:
    """Return the problem of a model and data of one's own, checked.

    ``model()`` returns a new untrained module. Each set of data is a pair (inputs, targets) of
    tensors or arrays, a torch Dataset or a DataLoader, which cuts its own batches; a race needs
    ``valid``. ``loss(output, targets)`` is the mean over the batch, by default cross-entropy for
    whole-number targets and the mean squared error for others. ``batch`` is 32 by default, or all
    of a smaller set. `load_file` takes the same from a file.

    Raises BadType or BadValue for what cannot be trained.
    """
    given = {
        "model": model, "train": train, "valid": valid, "test": test, "loss": loss,
        "batch": batch, "epochs": epochs,
    }  # fmt: skip
    return assembled(name, f"The problem {name}", given, _nobody)


def _nobody(name: str) -> AbstractContextManager:
    return nullcontext()


def assembled(name: str, description: str, given: Mapping[str, Any], blame: Blame) -> Problem:
    """Return the problem made of what is *given* by the names of `define`, checked."""
    parts = {**_DEFAULTS, **given}
    with blame("model"):
        _check_model(parts["model"])
    with blame("epochs"):
        check_count("epochs", parts["epochs"])
    data = {part: _data(short, parts[short], blame) for part, short in _PARTS.items()}
    problem = Problem(
        name=name,
        description=description,
        make_model=partial(_made, seeded(parts["model"]), blame),
        loss=_loss(parts["loss"], data["train"], blame),
        batch_size=_batch_size(parts["batch"], data["train"]),
        epochs=parts["epochs"],
        known={},
        **data,
    )
    with blame("batch"):
        check_batch_size(problem.batch_size, problem.train)
    with blame(""):
        validate(problem)
    return problem


def _check_model(model: Any) -> None:
    from torch import nn

    if isinstance(model, nn.Module) or not callable(model):
        raise BadType(
            "model should be a function that returns a new untrained module, got a "
            f"{type(model).__name__}; write def model(): return ..."
        )


def _data(name: str, value: Any, blame: Blame) -> Any:
    if value is None and name != "train":
        return None
    data = Split(*value) if isinstance(value, tuple | list) and len(value) == 2 else value
    with blame(name):
        check_data(data, name)
    return data


def _made(make: Callable[[int], Any], blame: Blame, seed: int) -> nn.Module:
    from torch.nn import Module

    with blame(""):
        made = make(seed)
        if not isinstance(made, Module):
            raise BadType(f"model() should return a module, got a {type(made).__name__}.")
    return made


def _loss(loss: Any, train: Data, blame: Blame) -> Loss:
    from torch.nn.functional import cross_entropy, mse_loss

    if loss is None:
        with blame(""):
            targets = first_batch(train, 1)[1]
        return mse_loss if targets.is_floating_point() else cross_entropy
    with blame("loss"):
        if isinstance(loss, type):
            raise BadType(f"loss is the class {loss.__name__}; make one of it: {loss.__name__}().")
        if not callable(loss):
            raise BadType(
                f"loss should be a function of output and targets, got a {type(loss).__name__}."
            )
    return loss


def _batch_size(given: Any, train: Data) -> Any:
    return min(_BATCH, count(train) or _BATCH) if given is None else given
