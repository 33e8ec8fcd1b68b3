"""A map of simulations: what is lowest stands out, what diverged is said to, data are whole."""

import csv
import io
import json
import math
import re

import pytest
from rich.console import Console

from thalweg.parallel import Cell, Simulation
from thalweg.report import page, summary


@pytest.fixture(scope="module")
def found():
    """Downpour leads without delay, <easgd> where answers are late, and nothing with a hundred."""
    losses = {
        ("downpour", 1, 0.0): (0.1, 0.2, 0.3), ("<easgd>", 1, 0.0): (0.4, 0.5, 0.6),
        ("downpour", 1, 5.0): (0.9, 0.8, 0.7), ("<easgd>", 1, 5.0): (0.5, 0.5, 0.5),
        ("downpour", 100, 0.0): (math.inf,) * 3, ("<easgd>", 100, 0.0): (1.0, 2.0, math.inf),
        ("downpour", 100, 5.0): (math.inf,) * 3, ("<easgd>", 100, 5.0): (math.inf,) * 3,
    }  # fmt: skip
    cells = tuple(
        Cell(*place, each, time=1000 / place[1], staleness=place[1] - 1.0)
        for place, each in losses.items()
    )
    return Simulation(
        "digits", 3, 32, {"downpour": 0.1, "<easgd>": 1.0}, (0.01, 0.1, 1.0), cells
    )  # fmt: skip


def printed(found):
    text = io.StringIO()
    Console(file=text, width=100).print(summary(found))
    return " ".join(text.getvalue().split())


def test_the_easiest_and_the_hardest_place_are_told(found):
    told = printed(found)
    assert "With 1 worker and a delay of 0, downpour comes lowest, at 0.2000." in told
    assert "With 100 workers and a delay of 5 everything diverged." in told


def test_a_rate_at_an_end_of_those_tried_is_doubted(found):
    told = printed(found)
    assert "lies at an end of those tried for <easgd>:" in told
    assert "the best of 0.01, 0.1, 1 for one worker without delay: downpour 0.1" in told


def test_every_condition_has_a_row_with_its_seeds(found):
    told = printed(found)
    assert "1 0 0.2000 (0.1000–0.3000) 0.5000 (0.4000–0.6000)" in told
    assert "100 0 diverged 2.0000 (1.0000–diverged)" in told


def test_the_page_shows_the_lowest_of_a_row_in_bold_and_a_picture_for_each_count(found, tmp_path):
    text = page(found, tmp_path / "map.html").read_text("utf-8")
    assert "<b>0.2000 (0.1000–0.3000)</b>" in text
    assert "&lt;easgd&gt;" in text
    assert "<easgd>" not in text.replace("\\u003c", "")
    places = re.findall(r'class="plot" id="([^"]+)"', text)
    assert places == ["losses-1", "losses-100", "speed"]


def test_data_hold_every_cell(found, tmp_path):
    data = json.loads(page(found, tmp_path / "map.json").read_text("utf-8"))
    assert data["rates"] == {"downpour": 0.1, "<easgd>": 1.0}
    assert len(data["cells"]) == len(found.cells)
    assert [each["loss"] for each in data["cells"]][-1] == "inf"
    lines = list(csv.DictReader(io.StringIO(page(found, tmp_path / "map.csv").read_text("utf-8"))))
    assert [float(line["loss"]) for line in lines] == [each.loss for each in found.cells]
