"""The page on the doctor runs, prints what it says, and lists every code as it is today."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from thalweg.doctor import catalogue

generator: Any = import_module("docs.doctor")
PAGE = (Path(__file__).parents[1] / "docs" / "doctor.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_the_table_of_codes_is_what_is_written_today() -> None:
    """Where this fails, `make docs` writes it anew; read what changed before keeping it."""
    assert generator.page(PAGE) == PAGE


def test_every_code_has_a_line_of_four_cells() -> None:
    lines = re.findall(r"^\| (GD\d+) \|.*\|$", PAGE, flags=re.MULTILINE)
    assert lines == list(catalogue())
    for each in re.findall(r"^\| GD\d+ \|.*$", PAGE, flags=re.MULTILINE):
        assert len(re.split(r"(?<!\\)\|", each)) == 6


def test_what_the_bank_found_stands_at_the_end_and_is_left_alone() -> None:
    filled = PAGE.replace("<!-- bank -->\n", "<!-- bank -->\n| measured |\n")
    assert generator.page(filled) == filled
    end = PAGE[PAGE.index("## How often it is right") :]
    assert end.index("<!-- bank -->") < end.index("<!-- end bank -->")
    assert PAGE.rstrip().endswith("<!-- end bank -->")


def test_the_blocks_of_the_page_run_and_print_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks("python"), 1):
        exec(compile(block, f"doctor.md, python block {number}", "exec"), names)
    printed = capsys.readouterr().out
    (shown,) = blocks("text")
    finding, _, _ = shown.partition("Watching took")
    assert finding in printed
    assert "GD404 warning group 0 Adam(weight_decay=0.01) → AdamW" in printed
    assert "dead ReLU {'dead': 0.7, 'some': 0.5" in printed
    assert names["found"].evidence.updates == 68
    assert "GD404" in Path("doctor.html").read_text("utf-8")
