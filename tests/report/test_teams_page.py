"""Trainings with several workers: what more of them saved is told as it is, and data are whole."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from teamed import FALLING, TEAMS, eventful, team
from thalweg.errors import BadValue
from thalweg.parallel import Tally, Teams
from thalweg.report import page, summary
from thalweg.report.teams import figures, ledger, words
from thalweg.report.teams.staleness import bars, drawn, middle, width_of

ALONE = Teams("digits", "", (team(3, 5.0, FALLING, unit="virtual seconds"),))


def printed(teams, width=100):
    text = io.StringIO()
    Console(file=text, width=width).print(summary(teams))
    return text.getvalue()


def told(teams):
    return " ".join(printed(teams).split())


def test_what_is_compared_is_worked_out_from_the_first_batch_and_between_two_looks():
    one, two, four = TEAMS.teams
    assert (one.speed, two.speed, four.speed) == (10.0, 20.0, 8.0)
    assert TEAMS.target == 0.3
    assert one.reached(0.3) == pytest.approx(36.0)
    assert two.reached(0.3) == pytest.approx(21.0)
    assert words.earlier(TEAMS, two) == pytest.approx(36 / 21)
    assert words.earlier(TEAMS, four) == pytest.approx(36 / (1 + 3.5 * 12.5))
    assert one.reached(0.1) is None


def test_no_word_of_the_tables_is_cut_off_on_a_narrow_terminal():
    many = replace(TEAMS, teams=(*TEAMS.teams, team(128, 1000.0, FALLING)))
    assert "…" not in printed(many, 80)


def test_how_late_gradients_were_is_drawn_in_one_line_on_a_narrow_terminal():
    *_, four = TEAMS.teams
    bars = drawn(four.tally.staleness, 12)
    assert bars.endswith("▄")
    assert bars in printed(TEAMS, 80)


def test_workers_that_are_slower_are_said_to_be():
    found = told(TEAMS)
    assert "4 workers saw 0.80 times the examples of 1 worker in the same time" in found
    assert "came to a loss of 0.3000 1.24 times later" in found
    assert (
        "this machine with 2 cores, which 4 workers share, from the start of the processes."
        in found
    )


def test_the_losses_after_the_same_examples_stand_beside_each_other():
    compared = Teams("digits", "", TEAMS.teams[:2])
    assert (
        "After the same 400 examples 2 workers stood at a loss of 0.3000, accuracy 70.0%; 1 worker "
        "at 0.2000, accuracy 80.0%." in told(compared)
    )


def test_virtual_time_is_called_virtual():
    found = told(ALONE)
    assert "3 workers came to a loss of 0.2000, accuracy 80.0% in 21.0 virtual seconds." in found
    assert "time is virtual" in found
    assert "this machine with" not in found


def test_one_that_diverged_sets_no_target_and_is_named():
    nan = float("nan")
    teams = Teams("digits", "", (*TEAMS.teams[:2], team(3, 5.0, (0.5, nan, nan, nan))))
    assert teams.target == 0.3
    assert not teams.diverged
    assert "With 3 workers the training diverged." in told(teams)


def test_one_that_was_cut_short_says_how_far_it_came():
    short = team(
        2,
        5.0,
        FALLING[:2],
        status="interrupted",
        gradients=40,
        tally=Tally(measured=Counter({0: 20}), undealt=20),
    )
    found = told(Teams("digits", "", (short,)))
    assert "2 workers, interrupted, came to a loss of 0.6000" in found
    assert "The training with 2 workers was interrupted: 20 of 40 gradients were measured." in found


def test_the_ledger_has_losses_always_and_what_else_happened():
    columns = ledger.columns(TEAMS)
    cells = dict(zip(columns, ledger.cells(TEAMS, TEAMS.teams[-1]), strict=True))
    assert cells == {
        "workers": "4", "gradients": "39", "of each": "0–25", "pushes applied": "37",
        "refused": "3", "late at most": "25", "lost gradients": "1", "lost pushes": "0",
        "lost updates": "0", "restarts": "1",
    }  # fmt: skip
    assert "restarts" not in ledger.columns(ALONE)
    assert "4 workers: refused (stale 2, not finite 1); lost gradients 1, restarts 1." in told(
        TEAMS
    )


def test_the_tables_fit_a_terminal_of_80_characters():
    assert max(map(len, printed(TEAMS, 80).splitlines())) <= 80


def test_bars_count_every_push_once():
    late = eventful().staleness
    assert bars(late, 1)[:2] == [("0", 7), ("1", 20)]
    assert bars(late, width_of([late], 13)) == [
        ("0–1", 27), *((f"{k}–{k + 1}", 0) for k in range(2, 24, 2)), ("24–25", 10)
    ]  # fmt: skip
    assert drawn(late, 2) == "█▄"
    assert middle(late) == 1
    assert bars(Counter(), 1) == []
    assert drawn(Counter()) == ""


def test_the_curves_of_the_page_are_those_of_the_teams(tmp_path):
    text = page(TEAMS, tmp_path / "teams.html").read_text("utf-8")
    shown = json.loads(text.partition("const figures = ")[2].partition(";\n")[0])
    assert list(shown) == ["time", "examples", "speed", "staleness"]
    judged = [trace for trace in shown["time"]["data"] if trace["mode"] == "lines+markers"]
    assert [trace["x"] for trace in judged] == [
        [point.time for point in each.history] for each in TEAMS.teams
    ]
    assert [trace["y"] for trace in judged] == [[*FALLING], [0.9, 0.7, 0.5, 0.3], [*FALLING]]
    beside = [trace for trace in shown["examples"]["data"] if trace["mode"] == "lines+markers"]
    assert all(trace["x"] == [100, 200, 300, 400] for trace in beside)
    pace, sooner, ideal = (trace["y"] for trace in shown["speed"]["data"])
    assert pace == [1.0, 2.0, 0.8]
    assert sooner == pytest.approx([1.0, 36 / 21, 36 / 44.75])
    assert ideal == [1, 2, 4]
    assert [sum(trace["y"]) for trace in shown["staleness"]["data"]] == pytest.approx([1, 1, 1])


def test_the_page_names_settings_and_versions_and_escapes_names(tmp_path):
    text = page(TEAMS, tmp_path / "teams.html").read_text("utf-8")
    assert "rule adagrad, lr 0.1" in text
    assert "torch 2.9" in text
    assert "run1, run2, run4" in text
    assert "numbers &amp; nothing" in text
    assert "&lt;digits&gt;" in text
    assert "<digits>" not in text.replace("\\u003c", "")


def test_a_single_team_has_a_page_without_comparisons(tmp_path):
    text = page(ALONE, tmp_path / "team.html").read_text("utf-8")
    assert re.findall(r'class="plot" id="([^"]+)"', text) == ["time", "examples", "staleness"]
    assert words.columns(ALONE) == [
        "workers",
        "start",
        "examples/s",
        "last loss",
        "accuracy",
        "time",
    ]


def test_where_nothing_was_late_there_is_no_picture_of_it():
    assert figures.staleness(Teams("digits", "", (team(1, 5.0, FALLING),))) is None
    assert figures.staleness(ALONE) is not None


def test_a_long_running_loss_is_drawn_as_means_of_stretches():
    many = tuple(TEAMS.teams[0].losses[0]._replace(gradients=k, loss=float(k)) for k in range(100))
    long = replace(team(1, 1.0, FALLING), losses=many)
    figure, *_ = figures.against_examples(replace(ALONE, teams=(long,)))["data"]
    assert len(figure["y"]) == 34
    assert figure["y"][:2] == [1.0, 4.0]


def test_times_far_apart_have_a_logarithmic_axis():
    far = Teams("digits", "", (team(1, 100.0, FALLING), team(9, 1.0, FALLING)))
    assert figures.against_time(far)["layout"]["xaxis"]["type"] == "log"
    assert "type" not in figures.against_time(TEAMS)["layout"]["xaxis"]


def test_data_hold_every_look_and_the_whole_tally(tmp_path):
    data = json.loads(page(TEAMS, tmp_path / "teams.json").read_text("utf-8"))
    assert data["target"] == 0.3
    assert [each["examples_a_second"] for each in data["teams"]] == [10, 20, 8]
    assert Tally.of_data(data["teams"][2]["tally"]) == eventful()
    lines = list(
        csv.DictReader(io.StringIO(page(TEAMS, tmp_path / "teams.csv").read_text("utf-8")))
    )
    assert [float(line["valid_loss"]) for line in lines[:4]] == [*FALLING]
    assert [line["workers"] for line in lines] == ["1"] * 4 + ["2"] * 4 + ["4"] * 4


def test_of_nothing_there_is_no_page(tmp_path):
    empty = Teams("digits", "", (team(2, 1.0, (), status="interrupted", tally=Tally()),))
    with pytest.raises(BadValue, match="nothing was measured"):
        page(empty, tmp_path / "teams.html")
    assert "2 workers, interrupted: nothing was measured." in told(empty)
