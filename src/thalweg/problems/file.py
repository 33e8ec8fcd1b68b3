"""A problem file is a Python file that defines a model and its data; the rest has defaults."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thalweg.errors import BadFile, BadType, BadValue, ThalwegError
from thalweg.problems.problem import Data, Loss, Problem, Split

if TYPE_CHECKING:
    from torch import nn

_NEEDED = ("model", "train")
_DEFAULTS = {"valid": None, "test": None, "batch": 32, "epochs": 10}
_PARTS = {"train": "train", "validation": "valid", "test": "test"}
_loaded: dict[str, Path] = {}


def load_file(path: str | os.PathLike[str]) -> Problem:
    """Run the Python file at ``path`` once and return the problem it describes, checked.

    The file defines ``model()``, which returns an untrained module, and ``train``; it may define
    ``valid``, ``test``, ``loss``, ``batch`` (32) and ``epochs`` (10). Each set of data is a pair
    (inputs, targets) of tensors or arrays, a torch Dataset or a DataLoader. ``loss(output,
    targets)`` is the mean over the batch; the default is cross-entropy for whole-number targets and
    the mean squared error for others. The file's folder becomes importable.

    Raises BadFile where the file is missing, fails (with the line) or lacks a name, BadType or
    BadValue where what it defines cannot be trained.
    """
    place = Path(path).resolve()
    names = vars(_execute(place))
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise BadFile(
            f"{place} does not define {' and '.join(missing)}. A problem file defines model() and "
            "train; `thalweg new my_problem.py` writes one that runs."
        )
    return _problem(place, {**_DEFAULTS, **names})


def _execute(place: Path) -> ModuleType:
    """Import the file as a module of its own name, so that worker processes find it again."""
    if not place.is_file():
        raise BadFile(
            f"there is no file {place}. `thalweg new {place.name}` writes a problem file that runs."
        )
    _check_name(place)
    module = _module(place)
    if str(place.parent) not in sys.path:
        sys.path.insert(0, str(place.parent))
    sys.modules[place.stem] = module
    with _blamed_on(place):
        _run(module)
    _loaded[place.stem] = place
    return module


def _check_name(place: Path) -> None:
    if place.stem in sys.modules and place.stem not in _loaded:
        raise BadFile(
            f"{place} would hide the module {place.stem!r}, which is in use; rename the file."
        )


def _module(place: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(place.stem, place)
    if spec is None or spec.loader is None:
        raise BadFile(f"{place} is not a Python file; its name should end in .py.")
    return importlib.util.module_from_spec(spec)


def _run(module: ModuleType) -> None:
    try:
        module.__spec__.loader.exec_module(module)  # type: ignore[union-attr]
    except BaseException:
        del sys.modules[module.__name__]
        raise


@contextmanager
def _blamed_on(place: Path) -> Iterator[None]:
    """Turn what the user's code raises into BadFile with the line of the file where it failed."""
    try:
        yield
    except (Exception, SystemExit) as error:
        reason = str(error) if isinstance(error, ThalwegError) else _words(error)
        raise BadFile(f"{place}{_line_of(error, place)}: {reason}") from error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _line_of(error: BaseException, place: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename == str(place):
        return f", line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(place)]
    return f", line {lines[-1]}" if lines else ""


def _problem(place: Path, names: dict[str, Any]) -> Problem:
    from thalweg.problems.checks import check_problem

    with _pointing_at(place, "model"):
        _check_callable(names["model"])
    data = {part: _data(place, name, names[name]) for part, name in _PARTS.items()}
    with _pointing_at(place, "epochs"):
        _check_epochs(names["epochs"])
    problem = Problem(
        name=place.stem,
        description=(names.get("__doc__") or f"The problem of {place.name}").strip().split("\n")[0],
        make_model=_maker(place, names["model"]),
        train=data["train"],
        validation=data["validation"],
        test=data["test"],
        loss=_loss(place, names, data["train"]),
        batch_size=names["batch"],
        epochs=names["epochs"],
        known={},
    )
    with _pointing_at(place):
        check_problem(problem)
    return problem


@contextmanager
def _pointing_at(place: Path, name: str = "") -> Iterator[None]:
    """Put the file, and the line where it sets ``name``, in front of what is wrong with a value."""
    try:
        yield
    except (BadType, BadValue) as error:
        raise type(error)(f"{place}{_line_that_sets(name, place)}: {error}") from error


def _line_that_sets(name: str, place: Path) -> str:
    for node in ast.walk(ast.parse(place.read_bytes())):
        match node:
            case ast.Name(id=found, ctx=ast.Store()) | ast.FunctionDef(name=found):
                if found == name:
                    return f", line {node.lineno}"
    return ""


def _data(place: Path, name: str, value: Any) -> Data | None:
    from thalweg.problems.checks import check_data

    if value is None and name != "train":
        return None
    with _pointing_at(place, name), _blamed_on_user(place):
        data = Split(*value) if isinstance(value, tuple | list) and len(value) == 2 else value
        check_data(data, name)
    return data


@contextmanager
def _blamed_on_user(place: Path) -> Iterator[None]:
    """Like _blamed_on, for code of the user's that our checks call; our own refusals pass."""
    try:
        yield
    except ThalwegError:
        raise
    except Exception as error:
        with _blamed_on(place):
            raise error


def _check_callable(model: Any) -> None:
    from torch import nn

    if isinstance(model, nn.Module) or not callable(model):
        raise BadType(
            "model should be a function that returns a new untrained module, got a "
            f"{type(model).__name__}; write def model(): return ..."
        )


def _check_epochs(epochs: Any) -> None:
    if isinstance(epochs, bool) or not isinstance(epochs, int):
        raise BadType(f"epochs should be a whole number, got {epochs!r}.")
    if epochs < 1:
        raise BadValue(f"epochs should be at least 1, got {epochs}.")


def _maker(place: Path, model: Callable[[], nn.Module]) -> Callable[[int], nn.Module]:
    def make_model(seed: int) -> nn.Module:
        import torch

        with torch.random.fork_rng(devices=[]), _blamed_on(place):
            torch.manual_seed(seed)
            made = model()
        if not isinstance(made, torch.nn.Module):
            raise BadType(f"{place}: model() should return a module, got {made!r}.")
        return made

    return make_model


def _loss(place: Path, names: dict[str, Any], train: Data | None) -> Loss:
    from torch.nn.functional import cross_entropy, mse_loss

    from thalweg.problems.checks import first_batch

    if "loss" in names:
        return names["loss"]
    with _blamed_on_user(place):
        targets = first_batch(train, 1)[1]
    return mse_loss if targets.is_floating_point() else cross_entropy
