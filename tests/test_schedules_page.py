"""The page on schedules runs, and its catalogue is what the schedules are today."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from thalweg.schedules import catalogue

weaver: Any = import_module("docs.schedules")
PAGE = (Path(__file__).parents[1] / "docs" / "schedules.md").read_text(encoding="utf-8")
HEAD, _, CATALOGUE = PAGE.partition(weaver.MARK)


def test_the_catalogue_is_what_is_woven_today() -> None:
    """Where this fails, `make docs` weaves it anew; read what changed before keeping it."""
    assert weaver.page(PAGE) == PAGE


def test_every_kind_has_a_section_with_formula_and_drawing() -> None:
    sections = re.split(r"^### ", CATALOGUE, flags=re.MULTILINE)[1:]
    assert [each.partition("\n")[0] for each in sections] == list(catalogue)
    for each in sections:
        assert each.count("```math\n") == 1
        assert re.search("[\u2801-\u28ff]", each)
        assert max(map(len, each.partition("```text")[2].splitlines())) <= 78


def test_the_code_written_by_hand_runs(capsys: pytest.CaptureFixture) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", HEAD, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 7
    names: dict[str, Any] = {"__name__": "page"}
    path = Path(weaver.__file__).with_name("schedules.md")
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{path.name}, python block {number}", "exec"), names)
    assert "t = k + hold\nfalling_root(k) = value * sqrt(hold / t)" in capsys.readouterr().out
