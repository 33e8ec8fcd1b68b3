"""A module imports only from the layers below its own, and siblings do not know each other.

Every import counts wherever it stands: inside functions, and for type checkers only.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "thalweg"
MODULES = sorted(SOURCE.rglob("*.py"))
LAYERS = (
    {"cli"},
    {"report"},
    {"doctor"},
    {"racing", "discover"},
    {"parallel"},
    {"training"},
    {"optim", "landscape"},
    {"kernels"},
    {"rules", "schedules", "problems", "record"},
    {"algebra"},
)
HEIGHT = {room: -row for row, rooms in enumerate(LAYERS) for room in rooms}
FOR_ALL = {"arguments", "errors", "files", "signals"}
ROOMS = {*HEIGHT, *FOR_ALL, "testing"}
WITHOUT_TORCH = ("algebra", "rules", "schedules", "record", *FOR_ALL)
VAGUE = {"util", "utils", "utilities", "helper", "helpers", "manager", "managers", "misc", "common"}

every_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix()
)


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = [node.module or ""]
            if node.level:
                package = ("thalweg", *path.relative_to(SOURCE).parts[: -node.level])
                origin = [*package, *filter(None, origin)]
            yield from (".".join([*origin, alias.name]) for alias in node.names)


def attributes_of_the_package(path: Path) -> Iterator[str]:
    """What a module reads from the package itself, which fetches rooms when they are asked for."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(value=ast.Name(id="thalweg"), attr=name):
                yield f"thalweg.{name}"


def rooms_known_to(path: Path) -> set[str]:
    """The rooms of the package that a module imports from, its own left out.

    A name fetched lazily through the package counts as the name of a room, so that it is refused.
    """
    names = [*imported(path), *attributes_of_the_package(path)]
    parts = [name.split(".") for name in names if name.split(".")[0] == "thalweg"]
    found = {part[1] for part in parts if len(part) > 1}
    return found - {room_of(path), "__version__"}


@pytest.mark.parametrize(
    ("line", "room"),
    [
        ("import thalweg.report.page", "report"),
        ("from thalweg import racing", "racing"),
        ("from thalweg.racing import race", "racing"),
        ("from ..optim import Optimizer", "optim"),
        ("def late():\n    import thalweg.optim", "optim"),
        ("if TYPE_CHECKING:\n    from thalweg.cli import main", "cli"),
        ("import thalweg\nthalweg.race('digits')", "race"),
    ],
)
def test_no_way_of_importing_goes_unseen(
    line: str, room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    path = tmp_path / "kernels" / "module.py"
    path.parent.mkdir()
    path.write_text(line, encoding="utf-8")
    assert rooms_known_to(path) == {room}


def test_every_room_has_a_layer() -> None:
    assert {room_of(path) for path in MODULES} <= {*ROOMS, "__init__", "__main__"}


@every_module
def test_it_imports_only_from_below(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "testing"):
        return
    known = rooms_known_to(path)
    assert known <= ROOMS, "import a name from its own room, not through the package"
    if room == "__main__":
        assert known <= {"cli"}
    elif room in FOR_ALL:
        assert known <= {"errors"}
    else:
        assert all(HEIGHT.get(each, 1) < HEIGHT[room] for each in known - FOR_ALL), known


@every_module
def test_only_the_command_line_knows_the_report(path: Path) -> None:
    assert room_of(path) in ("cli", "report", "__init__") or "report" not in rooms_known_to(path)


@every_module
def test_only_tests_know_the_contracts(path: Path) -> None:
    assert room_of(path) in ("testing", "__init__") or "testing" not in rooms_known_to(path)


@every_module
def test_the_layers_that_think_do_not_import_torch(path: Path) -> None:
    """Algebra and rules may look at tensors they are given; they never import torch to do so."""
    tops = {name.split(".")[0] for name in imported(path)}
    assert room_of(path) not in WITHOUT_TORCH or "torch" not in tops


@pytest.mark.parametrize(
    "module", ["thalweg", "thalweg.algebra", "thalweg.record", "thalweg.rules"]
)
def test_importing_it_does_not_import_torch(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@every_module
def test_its_name_says_what_it_is_for(path: Path) -> None:
    assert path.stem not in VAGUE
