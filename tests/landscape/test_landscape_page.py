"""The page about the landscape runs, and prints what it says."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "landscape.md"


def test_the_blocks_of_the_page_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    names: dict = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"landscape.md, python block {number}", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "evaluation 4810"
    assert names["ends"].converged
    assert names["ends"].products <= 30
    found, limit = names["found"], 3.8 / names["top"].value
    assert found.low <= limit * (1 + 1e-9) <= found.high * (1 + 1e-6)
    assert (found.rule, found.stable) == ("Momentum", True)
    assert names["place"].kind == "not critical"
    assert names["ball"].rise >= names["ball"].one_step > 0
    assert names["path"].within > 0.9
    assert names["noise"].low < names["noise"].scale < names["noise"].high
    assert names["left"].accuracies[:, 0].min() > names["left"].accuracies[:, -1].max()
