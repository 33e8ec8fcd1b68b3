"""docs/data.md says what is so: its blocks run, and its table is what the command prints."""

import re
from pathlib import Path

import pytest

from thalweg import cli, training
from thalweg.training import Order

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_its_code_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    programs = blocks("python")
    assert programs
    for number, block in enumerate(programs, 1):
        exec(compile(block, f"data.md, python block {number}", "exec"), names)


def without_times(table: str) -> list[str]:
    """The words of each line; times, which differ from run to run, as a T."""
    lines = re.sub(r"(~ )?[\d.]+ (s|ms|µs)(?=\s|$)", "T", table).splitlines()
    return [" ".join(line.split()) for line in lines]


def test_its_table_is_what_the_command_prints_but_for_the_times(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main(["costs", "digits"])
    (shown,) = blocks("text")
    assert without_times(capsys.readouterr().out) == without_times(shown)


def test_it_names_every_order() -> None:
    classes = {
        name for name, each in vars(training).items() if isinstance(each, type)
        and issubclass(each, Order) and each is not Order
    }  # fmt: skip
    assert classes == {"Curriculum", "InOrder", "Shuffled"}
    for name in (*classes, "sampled", "weighted", "class_balanced"):
        assert f"| `{name}(" in PAGE
