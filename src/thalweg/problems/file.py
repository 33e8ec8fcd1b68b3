"""A problem file is a Python file that defines a model and its data; the rest has defaults."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thalweg.arguments import check_count
from thalweg.errors import BadFile, BadType, BadValue, ThalwegError
from thalweg.problems.checks import check_batch_size, check_data, validate
from thalweg.problems.examples import count, first_batch
from thalweg.problems.problem import Data, Loss, Problem, Split
from thalweg.problems.seeded import seeded

if TYPE_CHECKING:
    from torch import nn

_NEEDED = ("model", "train")
_DEFAULTS = {"valid": None, "test": None, "batch": None, "epochs": 10}
_BATCH = 32
_PARTS = {"train": "train", "validation": "valid", "test": "test"}
_loaded: set[str] = set()


def load_file(path: str | os.PathLike[str]) -> Problem:
    """Run the Python file at ``path`` once and return the problem it describes, checked.

    The file defines ``model()``, which returns an untrained module, and ``train``; it may define
    ``valid``, ``test``, ``loss``, ``batch`` (32, or all of a smaller set) and ``epochs`` (10). Each
    set of data is a pair (inputs, targets) of tensors or arrays, a torch Dataset or a DataLoader.
    ``loss(output, targets)`` is the mean over the batch; the default is cross-entropy for
    whole-number targets and the mean squared error for others. The file's folder becomes
    importable.

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
    with _pointing_at(place):
        _run(module)
    _loaded.add(place.stem)
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
def _pointing_at(place: Path, name: str = "") -> Iterator[None]:
    """Put the file and line in front of what goes wrong: where it fails, or where ``name`` is set.

    Refusals of ours keep their type; whatever else the user's code raises becomes BadFile.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if str(error).startswith(str(place)):
            raise
        kind = type(error) if isinstance(error, BadType | BadValue) else BadFile
        line = _line_of(error.__cause__ or error, place) or _line_that_sets(name, place)
        where = f"{place}, line {line}" if line else str(place)
        raise kind(f"{where}: {_words(error)}") from error


def _words(error: BaseException) -> str:
    if isinstance(error, ThalwegError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _line_of(error: BaseException, place: Path) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == str(place):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(place)]
    return lines[-1] if lines else None


def _line_that_sets(name: str, place: Path) -> int | None:
    """Return the last line that assigns to ``name`` or defines it."""
    lines = []
    for node in ast.walk(ast.parse(place.read_bytes())) if name else ():
        match node:
            case ast.Name(id=found, ctx=ast.Store()) | ast.FunctionDef(name=found):
                lines += [node.lineno] if found == name else []
    return max(lines, default=None)


def _problem(place: Path, names: dict[str, Any]) -> Problem:
    with _pointing_at(place, "model"):
        _check_model(names["model"])
    with _pointing_at(place, "epochs"):
        check_count("epochs", names["epochs"])
    data = {part: _data(place, name, names[name]) for part, name in _PARTS.items()}
    description = names["__doc__"] or f"The problem of {place.name}"
    problem = Problem(
        name=place.stem,
        description=description.strip().split("\n")[0],
        make_model=_maker(place, names["model"]),
        loss=_loss(place, names, data["train"]),
        batch_size=_batch_size(names["batch"], data["train"]),
        epochs=names["epochs"],
        known={},
        digest=hashlib.sha256(place.read_bytes()).hexdigest()[:12],
        **data,
    )
    with _pointing_at(place, "batch"):
        check_batch_size(problem.batch_size, problem.train)
    with _pointing_at(place):
        validate(problem)
    return problem


def _data(place: Path, name: str, value: Any) -> Any:
    if value is None and name != "train":
        return None
    data = Split(*value) if isinstance(value, tuple | list) and len(value) == 2 else value
    with _pointing_at(place, name):
        check_data(data, name)
    return data


def _batch_size(given: Any, train: Data) -> Any:
    return min(_BATCH, count(train) or _BATCH) if given is None else given


def _check_model(model: Any) -> None:
    from torch import nn

    if isinstance(model, nn.Module) or not callable(model):
        raise BadType(
            "model should be a function that returns a new untrained module, got a "
            f"{type(model).__name__}; write def model(): return ..."
        )


def _maker(place: Path, model: Callable[[], nn.Module]) -> Callable[[int], nn.Module]:
    def make_model(seed: int) -> nn.Module:
        from torch.nn import Module

        with _pointing_at(place):
            made = seeded(model)(seed)
        if not isinstance(made, Module):
            raise BadType(f"{place}: model() should return a module, got a {type(made).__name__}.")
        return made

    return make_model


def _loss(place: Path, names: dict[str, Any], train: Data) -> Loss:
    from torch.nn.functional import cross_entropy, mse_loss

    loss = names.get("loss")
    if loss is None:
        with _pointing_at(place):
            targets = first_batch(train, 1)[1]
        return mse_loss if targets.is_floating_point() else cross_entropy
    with _pointing_at(place, "loss"):
        if not callable(loss):
            raise BadType(
                f"loss should be a function of output and targets, got a {type(loss).__name__}."
            )
    return loss
