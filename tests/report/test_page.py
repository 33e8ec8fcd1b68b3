"""A report stands alone, tells the truth about failures, and is written whole or not at all."""

import io
import json
import math
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from thalweg.errors import BadFile
from thalweg.racing import Epoch, Header, Progress, Result, Row, Run
from thalweg.report import check_path, follow, page, summary, table, words


def _run(rule, lr, losses):
    curve = tuple(Epoch(number, loss, loss, 0.9) for number, loss in enumerate(losses, 1))
    return Run(rule, lr, curve, 0.25)


def _header(*rules, trials=2):
    versions = {"thalweg": "0.1.0", "torch": "2.9"}
    return Header("digits", "Handwritten digits", rules, trials, 2, 32, 7, 1, versions)


@pytest.fixture
def result():
    runs = (
        _run("adam", 0.01, (0.5, 0.2)),
        _run("sgd", 0.1, (0.9, 0.4)),
        _run("adam", 0.1, (0.6, 0.3)),
        _run("sgd", 1.0, (math.inf,)),
    )
    board = (
        Row("adam", runs[0], 2, 0, 0.5, "lowest"),
        Row("sgd", runs[1], 2, 1, 0.5, ""),
    )
    return Result(_header("sgd", "adam"), runs, board)


@pytest.fixture
def hopeless():
    runs = (_run("sgd", 0.1, (math.inf,)), _run("sgd", 1.0, (math.inf,)))
    return Result(_header("sgd"), runs, (Row("sgd", runs[0], 2, 2, 0.5, ""),))


def _body(path):
    """The page without the script and style of its head."""
    return path.read_text(encoding="utf-8").partition("<body>")[2]


def _figures(path):
    text = _body(path).partition("const figures = ")[2].partition(";\n")[0]

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def _printed(drawn, width=100):
    text = io.StringIO()
    Console(file=text, width=width).print(drawn)
    return text.getvalue()


def test_a_page_loads_nothing_from_outside(result, tmp_path):
    path = page(result, tmp_path / "race.html")
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=", text)
    assert "Plotly" in text


def test_a_page_states_the_claim_the_protocol_and_every_rule(result, tmp_path):
    body = _body(page(result, tmp_path / "race.html"))
    assert "Lowest validation loss after 2 epochs of digits" in body
    assert "no claim of significance" in body
    assert "test set was not touched" in body
    assert "torch 2.9" in body
    for rule in ("adam", "sgd"):
        assert f"{rule}</td>" in body


def test_the_curves_are_those_of_each_rules_best_run(result, tmp_path):
    curves = _figures(page(result, tmp_path / "race.html"))["curves"]["data"]
    assert {trace["name"]: trace["y"] for trace in curves} == {
        "adam": [0.5, 0.2],
        "sgd": [0.9, 0.4],
    }


@pytest.mark.parametrize(("rules", "height"), [(2, 440), (21, 540), (40, 920)])
def test_pictures_are_tall_enough_to_name_every_rule(rules, height, tmp_path):
    names = [f"rule{k}" for k in range(rules)]
    runs = tuple(_run(name, 0.1, (0.5, 0.4)) for name in names)
    board = tuple(Row(run.rule, run, 1, 0, 0.1, "") for run in runs)
    path = page(Result(_header(*names, trials=1), runs, board), tmp_path / "race.html")
    style = path.read_text(encoding="utf-8").partition("</style>")[0]
    pattern = r"\.plot .*max\((\d+)px, (\d+)px \+ (\d+) \* (\d+)px\)"
    least, frame, count, line = map(int, re.findall(pattern, style)[0])
    assert max(least, frame + count * line) == height


def test_sensitivity_shows_every_run_and_marks_the_diverged(result, tmp_path):
    traces = _figures(page(result, tmp_path / "race.html"))["sensitivity"]["data"]
    sgd = next(trace for trace in traces if trace["name"] == "sgd")
    assert sgd["x"] == [0.1, 1.0]
    assert sgd["marker"]["symbol"] == ["circle", "x"]
    assert "diverged" in sgd["text"][1]
    assert math.isfinite(sgd["y"][1])


def test_a_race_in_which_everything_diverged_still_has_a_page(hopeless, tmp_path):
    path = page(hopeless, tmp_path / "race.html")
    assert _figures(path)["curves"]["data"] == []
    assert "2 of 2 diverged" in _body(path)


def test_a_rule_has_the_same_colour_in_both_pictures_and_the_board(result, tmp_path):
    path = page(result, tmp_path / "race.html")
    for name in ("adam", "sgd"):
        lines = [
            trace["line"]["color"]
            for figure in _figures(path).values()
            for trace in figure["data"]
            if trace["name"] == name
        ]
        assert lines[0] == lines[1]
        assert f'stroke="{lines[0]}"' in _body(path)


def test_names_cannot_become_markup(tmp_path):
    name = "</script><b>x"
    run = _run(name, 0.1, (0.5, 0.4))
    path = page(
        Result(_header(name), (run,), (Row(name, run, 1, 0, 0.1, ""),)), tmp_path / "race.html"
    )
    assert name not in _body(path)
    assert _figures(path)["curves"]["data"][0]["name"] == name


def test_an_interrupted_race_says_so_on_page_and_screen(result, tmp_path):
    cut = Result(result.header, result.runs[:1], result.board[:1])
    for text in (_body(page(cut, tmp_path / "race.html")), _printed(summary(cut))):
        assert "Interrupted: 1 of 4 runs finished" in text


def test_the_table_has_one_row_per_rule_in_the_order_of_the_board(result):
    lines = [line for line in _printed(table(result)).splitlines() if "0.5 s" in line]
    assert [line.split()[1] for line in lines] == ["adam", "sgd"]
    assert "best lr is the lowest tried" in lines[0]
    assert "1 of 2 diverged" in lines[1]


def test_the_table_fits_a_terminal_of_80_columns(result):
    assert max(map(len, _printed(summary(result), width=80).splitlines())) <= 80
    assert "…" not in _printed(summary(result), width=80)


def test_away_from_a_terminal_progress_is_one_line_for_each_run(result):
    text = io.StringIO()
    with follow(Console(file=text, width=80)) as (on_place, on_run):
        on_place(Progress(1, 4, "adam", 0.01, 0, 2))
        on_run(result.runs[0])
        on_run(result.runs[3])
    first, second = text.getvalue().splitlines()
    assert first.split() == ["adam", "lr", "0.01", "validation", "loss", "0.2000", "0.2", "s"]
    assert "diverged" in second


def test_in_a_terminal_progress_names_the_rule_and_the_learning_rate():
    text = io.StringIO()
    with follow(Console(file=text, width=100, force_terminal=True)) as (on_place, _):
        on_place(Progress(3, 4, "adam", 0.01, 1, 2))
    assert re.search("run 3 of 4.*adam.*lr 0.01", text.getvalue(), re.DOTALL)


def test_a_failed_write_leaves_the_old_page_and_no_litter(result, tmp_path, monkeypatch):
    path = tmp_path / "race.html"
    path.write_text("old")

    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(BadFile, match="No space left"):
        page(result, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["race.html"]


def test_checking_a_path_accepts_new_and_old_files_and_leaves_nothing(tmp_path):
    (tmp_path / "old.html").write_text("old")
    assert check_path(tmp_path / "old.html") == tmp_path.resolve() / "old.html"
    check_path(tmp_path / "new.html")
    assert os.listdir(tmp_path) == ["old.html"]
    assert (tmp_path / "old.html").read_text() == "old"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing/race.html", "there is no folder"),
        ("", "is a folder"),
        ("x" * 300, "cannot be written"),
        ("file/race.html", "there is no folder"),
    ],
)
def test_a_path_that_cannot_hold_a_page_is_refused(tmp_path, place, message):
    (tmp_path / "file").touch()
    with pytest.raises(BadFile, match=message):
        check_path(tmp_path / place)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a device file")
def test_a_device_is_not_replaced_by_a_page():
    with pytest.raises(BadFile, match="not an ordinary file"):
        check_path("/dev/null")


def test_a_link_is_followed_not_replaced(result, tmp_path):
    target, link = tmp_path / "target.html", tmp_path / "link.html"
    target.touch()
    link.symlink_to(target)
    page(result, link)
    assert link.is_symlink()
    assert "adam" in _body(target)


@pytest.mark.parametrize(
    ("text", "ended"), [("Moons", "Moons."), ("Which?", "Which?"), ("Moons.", "Moons.")]
)
def test_a_description_ends_as_a_sentence_once(text, ended):
    assert words.sentence(text) == ended
