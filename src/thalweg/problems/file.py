"""A problem file is a Python file that defines a model and its data; the rest has defaults."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from thalweg.errors import BadFile, BadType, BadValue, ThalwegError
from thalweg.problems.definition import assembled
from thalweg.problems.problem import Problem

_NEEDED = ("model", "train")
_NAMES = (*_NEEDED, "valid", "test", "loss", "batch", "epochs")
_loaded: set[str] = set()


def load_file(path: str | os.PathLike[str]) -> Problem:
    """Run the Python file at ``path`` once and return the problem it describes, checked.

    The file defines ``model()``, which returns an untrained module, and ``train``; it may define
    ``valid``, ``test``, ``loss``, ``batch`` and ``epochs``; `define` says what each of them is. The
    file's folder becomes importable.

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
    return _problem(place, names)


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
    description = names["__doc__"] or f"The problem of {place.name}"
    given = {name: names[name] for name in _NAMES if name in names}
    first_line = description.strip().split("\n")[0]
    problem = assembled(place.stem, first_line, given, partial(_pointing_at, place))
    return replace(problem, digest=hashlib.sha256(place.read_bytes()).hexdigest()[:12])
