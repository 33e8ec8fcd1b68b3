"""Several problems: on how many of them each rule is fast, and no more is claimed than was seen."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from fabricated import header, run
from torch import nn

from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.problems import define
from thalweg.racing import Contest, Result, race
from thalweg.racing.board import conclude
from thalweg.racing.protocol import Course
from thalweg.racing.result import FINAL, TRIAL, Task


def result(problem, **epochs):
    """Return a race of one trial in which each rule is at the target after so many epochs."""
    given = header(*epochs, trials=1, seeds=1, target=0.5, epochs=9, updates=10)
    given = replace(given, problem=problem)
    runs = []
    for rule, needed in epochs.items():
        curve = [0.5 if k + 1 >= needed else 9.0 for k in range(9)]
        runs += [
            run(Task(phase, rule, {}, seed), curve) for phase, seed in ((TRIAL, 0), (FINAL, 1))
        ]
    return conclude(given, Course(tuple(runs), given.spaces, ()))


def test_profiles_compare_the_times_to_the_target_with_the_fastest_on_each_problem():
    contest = Contest((result("a", sgd=4, adam=2), result("b", sgd=3, adam=9)))
    ratios = {rule: each.ratios for rule, each in contest.profiles.items()}
    assert ratios == {"sgd": (2.0, 1.0), "adam": (1.0, 3.0)}
    assert contest.profiles["sgd"].score == pytest.approx((2 / 3 + 1) / 2)


def test_the_verdict_counts_where_each_rule_was_fastest_near_and_never_there():
    contest = Contest(
        (
            result("a", sgd=8, adam=1, momentum=math.inf, adagrad=math.inf),
            result("b", sgd=1, adam=2, momentum=math.inf, adagrad=math.inf),
            result("c", sgd=math.inf, adam=2, momentum=math.inf, adagrad=math.inf),
        )
    )
    words = contest.verdict
    assert words.startswith("Over 3 problems, Adam has the highest performance profile, 0.89 of 1")
    assert "Fastest on 2 of 3, within 4 times the fastest on 3: Adam." in words
    assert "within 4 times the fastest on 1, target missed on 1: SGD." in words
    assert "Reached no target with more than half of its seeds: Momentum and Adagrad." in words
    assert "each race says for itself" in words


def test_equal_profiles_share_the_first_place():
    contest = Contest((result("a", sgd=2, adam=2),))
    assert contest.verdict.startswith("Over 1 problem, SGD and Adam share the highest")


def test_a_problem_that_no_rule_solved_is_named_and_counts_against_all():
    never = math.inf
    contest = Contest((result("a", sgd=2, adam=3), result("b", sgd=never, adam=never)))
    assert contest.profiles["sgd"].share(4.0) == 0.5
    assert "No rule reached the target in the median on b." in contest.verdict


def test_where_no_target_was_reached_at_all_there_is_no_verdict():
    contest = Contest((result("a", sgd=math.inf, adam=math.inf),))
    assert contest.verdict == (
        "No verdict: no rule reached a target on any of 1 problem with more than half of its seeds."
    )


def test_a_race_without_a_target_counts_as_unsolved():
    with_one = result("a", sgd=2, adam=3)
    without: Any = replace(
        with_one, target=None, board=tuple(replace(row, times=()) for row in with_one.board)
    )
    contest = Contest((with_one, without))
    assert contest.profiles["sgd"].ratios == (1.0, math.inf)


def blobs(name, seed=0, **parts):
    torch.manual_seed(seed)
    targets = torch.arange(48) % 3
    train, valid = ((torch.eye(3, 4)[targets] * 3 + torch.randn(48, 4), targets) for _ in "12")
    return define(lambda: nn.Linear(4, 3), train, valid, epochs=2, name=name, **parts)


def test_several_problems_are_raced_on_one_after_the_other():
    given = [blobs("first"), blobs("second", 1)]
    terms: dict[str, Any] = {"trials": 2, "seeds": 2, "epochs": 2, "target": 1.0}
    contest = race(given, ["sgd", "adamw"], **terms)
    assert [each.problem for each in contest.results] == ["first", "second"]
    assert set(contest.profiles) == {"sgd", "adamw"}
    alone = race(given[1], ["sgd", "adamw"], **terms)
    assert isinstance(alone, Result)
    assert [run.curve for run in contest.results[1].runs] == [run.curve for run in alone.runs]
    assert "Over 2 problems" in contest.verdict


@pytest.mark.parametrize(
    ("problems", "terms", "error", "message"),
    [
        ([], {}, BadValue, "at least one problem"),
        ([blobs("sound"), "digit"], {}, UnknownName, "Did you mean 'digits'"),
        ([blobs("sound"), 3], {}, BadType, "expected a name"),
        ([blobs("sound"), replace(blobs("odd"), validation=None)], {}, BadValue, "'odd' has none"),
        ([blobs("sound")], {"reference": None}, BadValue, "compared by the time to a target"),
    ],
)
def test_every_problem_is_checked_before_the_first_race(problems, terms, error, message):
    told: list[Any] = []
    with pytest.raises(error, match=message):
        race(problems, ["sgd"], trials=1, seeds=1, on_progress=told.append, **terms)
    assert told == []
