"""A contest is told whole and race by race, and a rule looks the same all over its page."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from races import raced
from thalweg.racing import Contest, Result
from thalweg.report import page, summary
from thalweg.report.race.export import as_json

RULES = ("sgd", "momentum", "adam")


def on(problem: str, rules: tuple[str, ...] = RULES, **worse: float) -> Result:
    """Return a race to 0.25 in five epochs; a rule needs more of them the worse it is."""
    found = raced(*rules, target=0.25, seeds=3, worse=worse, header={"problem": problem})
    assert {row.rule for row in found.board} == set(rules)
    return found


def times(contest: Contest) -> dict[str, list[float]]:
    """The median updates to the target, counted here by hand, of each rule on each problem."""
    boards = [{row.rule: sorted(row.times)[1] for row in each.board} for each in contest.results]
    return {rule: [board[rule] for board in boards] for rule in RULES}


@pytest.fixture(scope="module")
def contest() -> Contest:
    """Adam leads on two problems and SGD on one; Momentum never gets there on the last."""
    return Contest(
        (
            on("plain", sgd=2.0, momentum=2.0, adam=0.8),
            on("<b>odd</b>", sgd=2.0, momentum=1.5, adam=0.7),
            on("steep", sgd=1.2, momentum=9.0, adam=1.2),
        )
    )


@pytest.fixture(scope="module")
def unsolved() -> Contest:
    return Contest((on("far", sgd=90.0, momentum=90.0, adam=90.0),))


def printed(contest: Contest, width: int = 80) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(summary(contest))
    return text.getvalue()


def written(contest: Contest, folder: Path, ending: str = "html") -> str:
    return page(contest, folder / f"contest.{ending}").read_text(encoding="utf-8")


def body(contest: Contest, folder: Path) -> str:
    return written(contest, folder).partition("<body>")[2]


def figures(contest: Contest, folder: Path) -> dict[str, Any]:
    text = body(contest, folder).partition("const figures = ")[2].partition(";\n")[0]
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_terminal_tells_the_verdict_then_the_rules_then_each_race(contest: Contest) -> None:
    text = " ".join(printed(contest).split())
    places = [text.index(words) for words in (contest.verdict, "rule profile", "plain: ", "steep:")]
    assert places == sorted(places)
    for result in contest.results:
        assert f"{result.problem}: {result.verdict.partition('. ')[0]}"[:40] in text


def test_the_table_has_the_ratios_to_the_fastest_or_never(contest: Contest) -> None:
    rows = {line.split()[0]: line.split()[1:] for line in printed(contest).splitlines() if line}
    needed = times(contest)
    fastest = [min(each) for each in zip(*needed.values(), strict=True)]
    assert math.isinf(needed["momentum"][2])
    for rule, name in zip(RULES, ("SGD", "Momentum", "Adam"), strict=True):
        ratios = [this / best for this, best in zip(needed[rule], fastest, strict=True)]
        told = ["never" if math.isinf(each) else f"{each:.3g}" for each in ratios]
        assert rows[name] == [f"{contest.profiles[rule].score:.2f}", *told]


def test_rules_stand_in_the_order_of_their_profiles(contest: Contest) -> None:
    scores = {rule: each.score for rule, each in contest.profiles.items()}
    assert scores["adam"] > scores["sgd"] > scores["momentum"]
    lines = [line.split()[0] for line in printed(contest).splitlines() if line]
    assert lines.index("Adam") < lines.index("SGD") < lines.index("Momentum")


def test_half_of_the_seeds_that_never_arrive_are_told_from_all() -> None:
    found = raced(
        "sgd", "adam", target=0.25, seeds=3, trials=1, failing=[("adam", 1), ("adam", 2)],
    )  # fmt: skip
    assert sorted(map(math.isinf, found.board[-1].times)) == [False, True, True]
    assert ["Adam", "0.00", "∞"] in [
        line.split() for line in printed(Contest((found,))).splitlines()
    ]


def test_where_a_race_had_no_target_there_is_no_ratio() -> None:
    found = on("plain")
    board = tuple(replace(row, times=()) for row in found.board)
    both = Contest((found, replace(found, target=None, board=board)))
    rows = [line.split() for line in printed(both).splitlines()]
    head = next(place for place, row in enumerate(rows) if row[:2] == ["rule", "profile"])
    assert [row[-1] for row in rows[head + 1 : head + 4]] == ["–"] * 3


def test_the_page_begins_with_the_verdict_and_goes_on_to_each_race(
    contest: Contest, tmp_path: Path
) -> None:
    text = body(contest, tmp_path)
    parts = [
        f"<h1>{contest.sentences[0]}</h1>", f"<li>{contest.sentences[1]}</li>", 'id="profiles"',
        "<h2>Rules</h2>", "<h2>plain</h2>", 'id="curves-1"', "<h2>&lt;b&gt;odd&lt;/b&gt;</h2>",
        'id="curves-2"', "<h2>steep</h2>", 'id="curves-3"',
    ]  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert all(text.count(part) == 1 for part in parts)
    assert "<b>odd" not in text


def test_the_profiles_are_steps_between_their_corners(contest: Contest, tmp_path: Path) -> None:
    drawn = figures(contest, tmp_path)["profiles"]["data"]
    assert [trace["legendgroup"] for trace in drawn] == ["adam", "sgd", "momentum"]
    for trace in drawn:
        corners = list(zip(trace["x"], trace["y"], strict=True))
        assert corners == contest.profiles[trace["legendgroup"]].steps
        assert trace["line"]["shape"] == "hv"
    assert len({trace["line"]["width"] for trace in drawn}) == 3


def test_a_rule_has_one_colour_all_over_the_page(contest: Contest, tmp_path: Path) -> None:
    leaders = {result.board[0].rule for result in contest.results}
    assert leaders == {"adam", "sgd"}
    found = figures(contest, tmp_path)
    assert list(found) == ["profiles", "curves-1", "curves-2", "curves-3"]
    colours = {
        (trace["legendgroup"], trace["line"]["color"])
        for figure in found.values()
        for trace in figure["data"]
    }
    assert dict(colours) == {
        f: f"var(--colour-{n})" for n, f in enumerate(("adam", "sgd", "momentum"))
    }
    assert len(colours) == 3
    text = body(contest, tmp_path)
    for name, number in (("Adam", 0), ("SGD", 1), ("Momentum", 2)):
        keys = text.split(f"</svg>{name}</td>")[:-1]
        assert len(keys) == 4
        assert all(f"var(--colour-{number})" in key.rpartition("<svg")[2] for key in keys)


def test_where_no_target_was_reached_there_are_no_profiles_to_draw(
    unsolved: Contest, tmp_path: Path
) -> None:
    text = body(unsolved, tmp_path)
    assert "<h1>No verdict: no rule reached a target" in text
    assert 'id="profiles"' not in text
    assert list(figures(unsolved, tmp_path)) == ["curves-1"]


def test_a_race_in_which_all_diverged_has_no_curves(tmp_path: Path) -> None:
    failing = [("sgd", seed) for seed in range(9)]
    lost = raced("sgd", target=0.25, failing=failing, header={"problem": "lost"})
    both = Contest((on("plain", ("sgd",)), lost))
    text = body(both, tmp_path)
    assert "<h2>lost</h2>" in text
    assert list(figures(both, tmp_path)) == ["profiles", "curves-1"]
    assert 'id="curves-2"' not in text


def test_json_holds_the_profiles_and_the_data_of_every_race(
    contest: Contest, tmp_path: Path
) -> None:
    data = json.loads(written(contest, tmp_path, "json"))
    assert list(data) == ["verdict", "profiles", "results"]
    assert data["verdict"] == contest.verdict
    assert data["results"] == [json.loads(as_json(result)) for result in contest.results]
    assert data["profiles"]["momentum"]["ratios"][2] == "inf"
    assert data["profiles"]["adam"]["score"] == contest.profiles["adam"].score
    assert data["profiles"]["adam"]["steps"] == [list(k) for k in contest.profiles["adam"].steps]


def test_csv_holds_every_training_of_every_race_with_its_problem(
    contest: Contest, tmp_path: Path
) -> None:
    lines = list(csv.DictReader(io.StringIO(written(contest, tmp_path, "csv"))))
    assert list(lines[0])[:3] == ["problem", "phase", "rule"]
    expected = [
        (result.problem, run.task.rule, f"{run.loss}")
        for result in contest.results
        for run in result.runs
    ]
    assert [(e["problem"], e["rule"], e["validation_loss"]) for e in lines] == expected
