"""A page stands alone, tells the truth about failures, and is written whole or not at all."""

import io
import json
import math
import os
import re
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from races import raced
from thalweg.errors import BadFile, BadType, BadValue
from thalweg.racing import Result
from thalweg.racing.plan import usual
from thalweg.report import check_page, check_path, page, summary
from thalweg.rules import catalogue

EVERY_SEED = range(7)


def body(path: Path) -> str:
    """The page without the script and style of its head."""
    return path.read_text(encoding="utf-8").partition("<body>")[2]


def figures(path: Path) -> dict[str, Any]:
    """The figures of a page, in JSON that knows no NaN."""
    text = body(path).partition("const figures = ")[2].partition(";\n")[0]

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def drawn(result: Result, tmp_path: Path) -> dict[str, Any]:
    return figures(page(result, tmp_path / "race.html"))


def named(figure: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    """The one trace of that name, with these fields."""
    (found,) = (
        trace
        for trace in figure["data"]
        if trace["name"] == name and all(trace.get(key) == value for key, value in more.items())
    )
    trace: dict[str, Any] = found
    return trace


def printed(result: Result, width: int = 80) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(summary(result))
    return text.getvalue()


@pytest.fixture(scope="module")
def result() -> Result:
    return raced("sgd", "adam", failing=[("adam", 3)], target=0.12)


def test_a_page_loads_nothing_from_outside(result: Result, tmp_path: Path) -> None:
    text = page(result, tmp_path / "race.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=", text)
    assert "Plotly" in text


def test_the_metric_comes_first_then_the_verdict_then_the_board(
    result: Result, tmp_path: Path
) -> None:
    text = body(page(result, tmp_path / "race.html"))
    metric = text.index("decided by the validation loss after 5 epochs, median of 6 fresh seeds")
    verdict = text.index("<h1>SGD at 0.0509 has the lowest median validation loss")
    assert metric < verdict < text.index("<li>Adam came out higher.") < text.index("<table>")


def test_the_board_tells_medians_times_and_failures(result: Result, tmp_path: Path) -> None:
    rows = re.findall(r"<tr>(.*)</tr>", body(page(result, tmp_path / "race.html")))
    head, first, second = ([*re.findall(r">([^<]*)</t[hd]>", row)] for row in rows[:3])
    assert head[:5] == ["rule", "lr", "validation loss", "accuracy", "test loss"]
    assert head[5:] == ["test accuracy", "updates to target", "× best", "reached", "note"]
    assert first[:4] == ["SGD", "0.0509", "0.116 (0.111–0.122)", "88.4%"]
    assert first[6:] == ["35 (35–∞)", "1", "4/6", ""]
    assert second[6:9] == ["never", "–", "0/6"]
    assert second[9] == "under-tuned: lost to SGD; 1 of 6 diverged"


def test_a_rule_that_needs_longer_has_its_ratio_to_the_first(tmp_path: Path) -> None:
    found = raced("sgd", "adagrad", target=0.19, header={"epochs": 9})
    text = body(page(found, tmp_path / "race.html"))
    first, second = (row.times for row in found.board)
    assert {b / a for a, b in zip(first, second, strict=True)} == {9 / 8}
    assert '<td class="">1.12</td>' in text


def test_the_curves_have_every_seed_and_the_median(result: Result, tmp_path: Path) -> None:
    curves = drawn(result, tmp_path)["curves"]
    assert len(curves["data"]) == 4
    thin, thick = (named(curves, "SGD", showlegend=shown) for shown in (False, None))
    finals = [run for run in result.runs if run.task.rule == "sgd" and run.task.phase == "final"]
    seeds = {run.task.seed: [epoch.validation_loss for epoch in run.curve] for run in finals}
    points = list(zip(thin["customdata"], thin["y"], strict=True))
    assert {
        seed: [y for other, y in points if other == seed and y is not None] for seed in seeds
    } == seeds
    middle = [sorted(epoch)[2:4] for epoch in zip(*seeds.values(), strict=True)]
    assert thick["y"] == pytest.approx([sum(pair) / 2 for pair in middle])
    assert thin["line"]["width"] < thick["line"]["width"]


def test_a_seed_that_diverged_ends_there_and_the_median_counts_it(tmp_path: Path) -> None:
    found = raced("sgd", failing=[("sgd", seed) for seed in (1, 2, 3, 4)])
    curves = drawn(found, tmp_path)["curves"]
    assert named(curves, "SGD", showlegend=False)["y"].count(None) == 6 + 4
    median = named(curves, "SGD", showlegend=None)["y"]
    assert median[0] is not None
    assert median[1:] == [None] * 4


def test_every_final_value_is_a_dot_and_a_failure_a_cross_at_the_end(
    result: Result, tmp_path: Path
) -> None:
    finals = drawn(result, tmp_path)["finals"]
    adam = named(finals, "Adam")
    losses = result.board[1].losses
    assert math.isinf(losses[2])
    assert adam["marker"]["symbol"] == ["circle"] * 2 + ["x"] + ["circle"] * 3
    assert [x for k, x in enumerate(adam["x"]) if k != 2] == [y for y in losses if y < math.inf]
    assert adam["x"][2] > max(loss for loss in losses if loss < math.inf)
    assert finals["layout"]["shapes"][0]["label"]["text"] == "▸ off the scale  ✕ diverged"
    assert "seed 3<br>∞" in adam["text"][2]


def test_the_median_stands_with_its_interval(result: Result, tmp_path: Path) -> None:
    median = named(drawn(result, tmp_path)["finals"], "median")
    for place, row in enumerate(result.board):
        assert median["x"][place] == row.loss.value
        assert row.loss.value - median["error_x"]["arrayminus"][place] == pytest.approx(
            row.loss.low
        )


def test_a_target_not_reached_is_a_cross_beyond_all_times(result: Result, tmp_path: Path) -> None:
    times = drawn(result, tmp_path)["times"]
    assert set(named(times, "Adam")["marker"]["symbol"]) == {"x"}
    sgd = named(times, "SGD")
    assert sgd["marker"]["symbol"].count("x") == 2
    assert min(sgd["x"]) == 35
    assert max(sgd["x"]) > 35
    assert "never reached" in times["layout"]["shapes"][0]["label"]["text"]


def test_sensitivity_has_every_trial_extended_ones_too(tmp_path: Path) -> None:
    found = raced("sgd", "adam", trials=8, best=1.1)
    assert found.extended
    adam = named(drawn(found, tmp_path)["sensitivity"], "Adam")
    trials = [run for run in found.runs if run.task.rule == "adam" and run.task.phase == "trial"]
    assert len(trials) > 8
    assert sorted(adam["x"]) == sorted(run.task.setting["lr"] for run in trials)
    assert max(adam["x"]) > found.header.spaces["adam"].axes[0].high


def test_sensitivity_marks_what_diverged_and_what_was_chosen(tmp_path: Path) -> None:
    found = raced("sgd", "adam", failing=[("sgd", 0)])
    shown = drawn(found, tmp_path)["sensitivity"]
    assert set(named(shown, "SGD")["marker"]["symbol"]) == {"x"}
    assert "diverged" in named(shown, "SGD")["text"][0]
    adam = named(shown, "Adam")
    (large,) = (k for k, size in enumerate(adam["marker"]["size"]) if size > 7)
    assert adam["x"][large] == found.board[1].setting["lr"]
    assert "chosen" in adam["text"][large]


def test_the_trials_that_only_the_reference_has_are_not_drawn(tmp_path: Path) -> None:
    found = raced("adam", "adamw", reference="adamw")
    shown = drawn(found, tmp_path)
    assert len(named(shown["sensitivity"], "AdamW")["x"]) == 4
    assert named(shown["budget"], "AdamW")["x"] == [1, 2, 3, 4]


def test_the_best_of_so_many_trials_ends_at_the_best_of_all(result: Result, tmp_path: Path) -> None:
    budget = named(drawn(result, tmp_path)["budget"], "SGD")["y"]
    assert budget[0] == pytest.approx(sum(result.board[0].trials) / 4)
    assert budget == sorted(budget, reverse=True)
    assert budget[-1] == min(result.board[0].trials)


def test_the_share_of_good_trials_is_the_rules_own(result: Result, tmp_path: Path) -> None:
    (bars,) = drawn(result, tmp_path)["near"]["data"]
    assert bars["x"] == [0.25, 0.25]


def test_a_race_of_defaults_draws_no_tuning_and_is_called_so(tmp_path: Path) -> None:
    path = page(raced("sgd", "adam", trials=1), tmp_path / "race.html")
    assert set(figures(path)) == {"curves", "finals"}
    assert "a race of defaults, not of tuning" in body(path)
    assert "defaults</td>" in body(path)


def test_a_race_in_which_everything_diverged_still_has_a_page(tmp_path: Path) -> None:
    every = [(rule, seed) for rule in ("sgd", "adam") for seed in EVERY_SEED]
    path = page(raced("sgd", "adam", failing=every, target=0.1), tmp_path / "race.html")
    assert figures(path) == {}
    assert "No verdict: every run diverged." in body(path)
    assert "6 of 6 diverged" in body(path)


def test_values_of_zero_and_below_can_be_drawn(tmp_path: Path) -> None:
    shown = drawn(raced("sgd", "adam", worse={"sgd": 0.0, "adam": -1.0}), tmp_path)
    assert "type" not in shown["finals"]["layout"]["xaxis"]
    assert named(shown["curves"], "SGD", showlegend=None)["y"] == [0] * 5


def test_a_rule_has_the_same_colour_in_every_picture_and_on_the_board(
    result: Result, tmp_path: Path
) -> None:
    path = page(result, tmp_path / "race.html")
    colours = {}
    for name in ("SGD", "Adam"):
        traces = [
            trace
            for figure in figures(path).values()
            for trace in figure["data"]
            if trace.get("name") == name
        ]
        (colours[name],) = {trace["marker"]["color"] for trace in traces}
        assert f"stroke: {colours[name]}" in body(path)
    assert colours["SGD"] != colours["Adam"]


def test_of_many_rules_those_that_lead_are_seen_at_first(tmp_path: Path) -> None:
    keys = list(catalogue)[:12]
    found = raced(*keys, worse={keys[2]: 50.0})
    path = page(found, tmp_path / "race.html")
    for name in ("curves", "sensitivity", "budget"):
        traces = figures(path)[name]["data"]
        seen = {trace["name"] for trace in traces if trace["visible"] is True}
        assert seen == {row.name for row in found.board[:8]}
    assert body(path).count("it shows 8 of the 12 rules") == 3
    looks = {
        (trace["line"]["color"], trace["line"]["dash"])
        for trace in figures(path)["sensitivity"]["data"]
    }
    assert len(looks) == 12


def test_a_rule_far_behind_waits_and_does_not_stretch_the_view(tmp_path: Path) -> None:
    shown = drawn(raced("sgd", "adam", worse={"adam": 1000.0}), tmp_path)
    assert named(shown["curves"], "Adam", showlegend=None)["visible"] == "legendonly"
    assert 10 ** shown["curves"]["layout"]["yaxis"]["range"][1] < 1
    finals = shown["finals"]
    far, near = named(finals, "Adam"), named(finals, "SGD")
    assert set(far["marker"]["symbol"]) == {"triangle-right"}
    axis = finals["layout"]["xaxis"]
    edge = finals["layout"]["shapes"][0]["x0"]
    assert max(near["x"]) <= edge < min(far["x"])
    assert axis["tickvals"]
    assert max(axis["tickvals"]) <= edge


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    name = "</script><b>x"
    found = raced("sgd", header={"names": {"sgd": name}, "problem": name, "description": name})
    path = page(found, tmp_path / "race.html")
    assert name not in path.read_text(encoding="utf-8")
    assert named(figures(path)["curves"], name, showlegend=None)["x"] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"reference": "adamw"}, "that AdamW, tuned with 16 trials or more, reaches within 75%"),
        ({"target": 0.12}, "The target is a validation loss of 0.12, as was asked."),
        ({"metric": "error", "target": 0.12}, "a validation error of 12.0%, as was asked"),
        ({}, "There is no target"),
        ({"schedule": "cosine"}, "learning rate follows cosine over all of a training"),
        ({"tested": False}, "The test set was not looked at."),
        ({"tested": True}, "The test set was looked at once, after these."),
        ({"sampler": "random"}, "at the same points (random)"),
        ({"best": 1.1}, "lr beyond its upper end"),
        ({"best": -0.1}, "lr beyond its lower end"),
        ({"seeds": 1}, "One seed is no measure of chance"),
        ({"failing": [("adamw", 5)]}, "Trained by a formula."),
    ],
)
def test_the_protocol_is_told_as_it_was(terms: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in body(page(raced("sgd", "adam", **terms), tmp_path / "race.html"))


def test_a_reference_that_diverged_sets_no_target(tmp_path: Path) -> None:
    every = [("adamw", seed) for seed in EVERY_SEED]
    path = page(raced("sgd", reference="adamw", failing=every, epochs=1), tmp_path / "race.html")
    assert "AdamW, which sets the target, diverged with half of its seeds" in body(path)
    assert "times" not in figures(path)


def test_search_spaces_are_told_as_they_began_and_ended(tmp_path: Path) -> None:
    found = raced("sgd", "adam", search=("lr", "beta1"), best=1.1)
    text = body(page(found, tmp_path / "race.html"))
    assert "began with" in text
    for spaces in (found.header.spaces, found.spaces):
        for axis in spaces["adam"].axes:
            assert str(axis) in text


def test_every_training_stands_in_the_foldable_table(result: Result, tmp_path: Path) -> None:
    table = body(page(result, tmp_path / "race.html")).partition("<details>")[2]
    assert f"All {len(result.runs)} trainings" in table
    assert table.partition("</table>")[0].count("<tr>") == 1 + len(result.runs)


def test_the_summary_begins_with_the_verdict_and_has_a_line_for_each_rule(
    result: Result,
) -> None:
    lines = printed(result).splitlines()
    assert lines[0].startswith("SGD at 0.0509 has the lowest median validation loss")
    rows = [line.split() for line in lines]
    assert ["SGD", "0.0509", "0.116", "(0.111–0.122)", "88.4%"] in [row[:5] for row in rows]
    assert any("decided by the validation loss" in line for line in lines)


def test_the_summary_of_all_rules_fits_80_columns() -> None:
    found = raced(*(rule.key for rule in usual()), target=0.5, epochs=300)
    text = printed(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    _, board, _ = text.split("\n\n")
    names = [line.split()[0] for line in board.splitlines()[2:]]
    assert names == [row.name for row in found.board]


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_a_training_is_not_written_as_data(ending: str, tmp_path: Path) -> None:
    from thalweg.training import Study

    with pytest.raises(BadValue, match="its numbers are in the record"):
        page(Study("digits", "", ()), tmp_path / f"study.{ending}")
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_page_and_no_litter(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "race.html"
    path.write_text("old")

    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(BadFile, match="No space left"):
        page(result, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["race.html"]


def test_checking_a_path_accepts_new_and_old_files_and_leaves_nothing(tmp_path: Path) -> None:
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
def test_a_path_that_cannot_hold_a_page_is_refused(
    tmp_path: Path, place: str, message: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadFile, match=message):
        check_path(tmp_path / place)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a device file")
def test_a_device_is_not_replaced_by_a_page() -> None:
    with pytest.raises(BadFile, match="not an ordinary file"):
        check_path("/dev/null")


def test_a_link_is_followed_not_replaced(result: Result, tmp_path: Path) -> None:
    target, link = tmp_path / "target.html", tmp_path / "link.html"
    target.touch()
    link.symlink_to(target)
    page(result, link)
    assert link.is_symlink()
    assert "Adam" in body(target)


@pytest.mark.parametrize("name", ["race.pdf", "race.py", "race.html.gz"])
def test_what_ends_neither_as_a_page_nor_as_data_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"a page ends in \.html, data end in \.json or \.csv"):
        check_page(tmp_path / name)


def test_what_is_no_result_makes_no_page(tmp_path: Path) -> None:
    with pytest.raises(BadType, match="got a int"):
        page(cast(Any, 3), tmp_path / "race.html")
    assert list(tmp_path.iterdir()) == []
