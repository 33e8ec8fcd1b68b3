"""A drawing of schedules shows their values, fits its terminal, and says how far it goes."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import rich
from rich.console import Console

from thalweg.errors import BadFile, BadType, BadValue
from thalweg.report import endpoints, plot, schedule_sheet
from thalweg.schedules import (
    Schedule,
    catalogue,
    constant,
    cosine,
    exponential,
    lanes,
    linear,
    piecewise,
    step_decay,
)

anything: Any = plot
DOTS = re.compile("[\u2801-\u28ff]")


def printed(drawn: Any, width: int = 80) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width).print(drawn)
    return text.getvalue().splitlines()


def curves(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8").partition("const figures = ")[2].partition(";\n")[0]
    traces: list[dict[str, Any]] = json.loads(text)["plot"]["data"]
    return traces


@pytest.mark.parametrize("width", [30, 80, 200])
@pytest.mark.parametrize("name", catalogue)
def test_a_drawing_is_as_wide_as_the_terminal(name: str, width: int) -> None:
    kind = catalogue[name]
    lines = printed(plot(kind(**kind.example)), width)
    assert max(map(len, lines)) <= width
    assert len(lines[12]) == width
    assert any(DOTS.match(line[-1]) for line in lines[:12] if len(line) == width)


def test_a_line_goes_from_corner_to_corner() -> None:
    lines = printed(plot(linear(3, 1, steps=500)))
    assert re.match("3 ┤[⠉⠑⠙]", lines[0])
    assert lines[6].startswith("2 ┤")
    assert lines[11].startswith("1 ┤")
    assert DOTS.match(lines[11][79])
    assert lines[13].split() == ["0", "249.5", "499"]
    heights = [min(row for row in range(12) if lines[row][x] > "\u2800") for x in range(3, 79)]
    assert heights == sorted(heights)


def test_every_update_is_seen_even_one_in_many() -> None:
    once = piecewise([1, 5, 1], at=[700, 701])
    lines = printed(plot(once, steps=200_000))
    assert len(DOTS.findall(lines[0])) == 1


def test_the_length_is_the_horizon_and_said_where_there_is_none() -> None:
    assert "first 1,000 of a schedule without end" in printed(plot(constant(1)))[14]
    assert "without end" not in printed(plot(constant(1), steps=50))[14]
    assert printed(plot(constant(1), steps=50))[13].endswith("49")
    both = plot({"a": cosine(1, steps=30), "b": step_decay(1, every=9)})
    assert printed(both)[13].endswith("29")


def test_several_are_told_apart_by_name_and_lanes_by_number() -> None:
    both = printed(plot({"falling": cosine(1, steps=30), "stays": constant(0.5)}))
    assert "falling" in both[-1]
    assert "stays" in both[-1]
    side_by_side = printed(plot(lanes(constant(each) for each in (1, 2, 3))))
    assert "lane 2" in side_by_side[-1]


def test_what_is_not_finite_leaves_a_gap() -> None:
    lines = printed(plot(exponential(1, factor=100.0), steps=400))
    assert DOTS.search("".join(lines))


def test_printing_is_all_it_takes(capsys: pytest.CaptureFixture) -> None:
    rich.print(plot(cosine(0.3, steps=100)))
    assert "0.15 ┤" in capsys.readouterr().out


def test_a_figure_holds_the_values_and_loads_nothing(tmp_path: Path) -> None:
    made = cosine(0.3, steps=100)
    path = plot({"<cosine>": made, "line": linear(1, 0, steps=50)}, tmp_path / "schedules.html")
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=", text)
    first, second = curves(path)
    assert first["x"] == list(range(100))
    assert first["y"] == [made(k) for k in range(100)]
    assert (first["name"], second["name"]) == ("<cosine>", "line")
    assert second["y"][99] == 0


def test_a_figure_of_a_long_run_keeps_its_peaks(tmp_path: Path) -> None:
    once = piecewise([1, 5, 1], at=[70_001, 70_002])
    (curve,) = curves(plot(once, tmp_path / "long.html", steps=100_000))
    assert len(curve["x"]) <= 10_000
    assert max(curve["y"]) == 5
    assert curve["x"] == sorted(curve["x"])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: anything(0.3), BadType, "takes a schedule such as"),
        (lambda: plot({}), BadType, "or a dict of some by name"),
        (lambda: anything({"a": cosine}), BadType, "not <kind of schedule cosine"),
        (lambda: plot(constant(1), steps=0), BadValue, "at least 1"),
        (lambda: plot(constant(1), "missing/plot.html"), BadFile, "there is no folder"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("name", catalogue)
def test_a_sheet_says_what_the_ends_use(name: str) -> None:
    kind = catalogue[name]
    made: Schedule = kind(**kind.example)
    words = endpoints(kind)
    assert f"{kind.call}, update 1 uses {made(0):.6g}" in words
    assert ("there is no last one" in words) == (made.horizon is None)
    if made.horizon:
        last = made(made.horizon - 1)
        assert f"update {made.horizon:,}, the last, {last:.6g}, as does every later one" in words
    lines = " ".join(" ".join(printed(schedule_sheet(kind), 300)).split())
    for part in (kind.signature, kind.summary, kind.source, words, f"{name}(k) = "):
        assert part in lines
