"""The example of docs/lr.md runs as it stands, and its answer is one to train with."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "lr.md"


def test_the_example_ends_with_a_rate_in_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M)
    names: dict[str, Any] = {}
    exec(compile(block, "lr.md", "exec"), names)
    advice = names["advice"]
    assert names["optimizer"].param_groups[0]["lr"] == advice.lr
    assert advice.low <= advice.lr <= advice.high
    assert capsys.readouterr().out.startswith("learning rate of SGD on Sequential: ")
