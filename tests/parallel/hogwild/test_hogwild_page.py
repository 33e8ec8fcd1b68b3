"""The page on Hogwild says what is so: its programs run, and print what they promise."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "hogwild.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


COMMONEST = 0.65
"""The share of the commonest label: three to five of eight words below 400 of 1,000."""


def numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"\d+\.\d+", text)]


def test_its_threads_learn_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS[:-1]:
        exec(block, names)
    first, row, second, third = capsys.readouterr().out.splitlines()
    assert numbers(first)[0] > 0.85
    assert sum(numbers(row)) == pytest.approx(1, abs=0.011)
    assert numbers(second)[0] > 0.85
    off, spread = numbers(third)
    assert off < 0.2 * spread


@pytest.mark.long
def test_its_processes_learn_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    exec(BLOCKS[-1], {"__name__": "__main__"})
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("(880, 880) updates")
    assert numbers(line)[0] > COMMONEST + 0.08
