"""The page on training says what is so: its programs run, its tables are complete."""

import re
import shlex
from pathlib import Path

import pytest

from thalweg import cli, record
from thalweg.schedules.spread import spreads
from thalweg.training import Checkpoints

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def test_its_programs_train_record_and_keep_what_the_page_says(
    tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    with record.open("thalweg.db") as book:
        found = [(run.name, run.kind, run.status) for run in book.runs()]
    assert found == [
        ("digits", "study", "finished"),
        ("digits", "train", "finished"),
        ("digits", "train", "finished"),
        ("spheres", "train", "finished"),
    ]
    assert Checkpoints("spheres").best is not None
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_its_table_has_every_schedule_that_can_be_named() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
    assert rows == {name: words for name, (words, _) in spreads.items()}


def test_its_options_are_those_of_the_command(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options == set(re.findall(r"--[a-z][a-z-]+", PAGE)) | {"--seed"}


def test_its_study_is_the_one_that_make_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^thalweg train mnist.*$", PAGE, re.MULTILINE)
    assert f"$(BIN)/{shown}" in makefile
    assert shlex.split(shown)[2] == "mnist"
