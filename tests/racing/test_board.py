"""The board says what the runs of a race show, and nothing that they do not."""

import math

import pytest
from fabricated import Trainer, header, valley

from thalweg.racing.board import conclude, target_of
from thalweg.racing.protocol import Course, follow
from thalweg.racing.result import FINAL, REFERENCE_FINAL, TRIAL, Task
from thalweg.racing.sampling import sampler

MIDDLE = {"sgd": 0.1, "momentum": 0.02, "adam": 0.003, "adamw": 0.003}


def raced(given, loss):
    return conclude(given, follow(given, Trainer(loss)))


def level(**levels):
    """Return the loss that is lowest in the middle, at each rule's level, and varies with seeds."""

    def loss(task):
        return levels[task.rule] + 0.01 * task.seed + valley(MIDDLE[task.rule])(task)

    return loss


def row_of(result, rule):
    return next(row for row in result.board if row.rule == rule)


def falling(target_epoch, floor):
    """Return the losses of four epochs that are first at the floor after so many."""
    return [floor if epoch + 1 >= target_epoch else 9.0 for epoch in range(4)]


def test_rules_stand_in_the_order_of_the_medians_of_their_fresh_seeds():
    result = raced(header("sgd", "adam", "adamw", seeds=6), level(sgd=3.0, adam=1.0, adamw=2.0))
    assert [row.rule for row in result.board] == ["adam", "adamw", "sgd"]
    assert [row.name for row in result.board] == ["Adam", "AdamW", "SGD"]
    assert all(len(row.losses) == 6 for row in result.board)


def test_the_losses_of_a_row_are_those_of_the_fresh_seeds_and_not_of_the_trials():
    result = raced(header("sgd", seeds=3, reference=None), level(sgd=3.0))
    row = result.board[0]
    finals = [run for run in result.runs if run.task.phase == FINAL]
    assert list(row.losses) == [run.loss for run in finals]
    assert list(row.trials) == [run.loss for run in result.runs if run.task.phase == TRIAL]
    assert row.seconds == len(row.trials) + 3
    assert row.setting == finals[0].task.setting


def test_the_extra_trials_of_the_reference_are_not_on_the_board():
    row = row_of(raced(header("sgd", "adamw"), level(sgd=1.0, adamw=1.0)), "adamw")
    assert len(row.trials) == 16
    assert len(row.losses) == 10


def test_the_target_is_the_median_of_what_the_reference_reaches_in_three_quarters_of_the_time():
    def loss(task):
        if task.phase not in (FINAL, REFERENCE_FINAL):
            return valley(0.003)(task)
        return [9.0, 5.0, 4.0 + task.seed, 1.0]

    given = header("adamw", seeds=3)
    result = raced(given, loss)
    assert result.target == 5.0
    assert result.board[0].times == (20, 20, 20)


def test_the_target_comes_from_the_best_of_all_trials_of_the_reference():
    given = header("sgd", "adamw", seeds=3)
    twentieth = given.spaces["adamw"].settings(sampler("sobol", 1).ask(20)[-1])

    def loss(task):
        return -5.0 if (task.rule, task.setting) == ("adamw", twentieth) else 1.0

    result = raced(given, loss)
    assert result.target == -5.0
    assert {run.task.phase for run in result.runs if run.loss == -5.0} >= {REFERENCE_FINAL}
    assert row_of(result, "adamw").times == (math.inf,) * 3


def test_times_are_updates_of_whole_epochs_and_infinite_where_the_target_was_not_reached():
    def loss(task):
        if task.phase != FINAL:
            return 1.0
        return falling(2 + task.seed, 0.5)

    given = header("sgd", seeds=4, target=0.5, updates=7)
    assert raced(given, loss).board[0].times == (21, 28, math.inf, math.inf)


def test_a_seed_with_which_the_reference_diverged_counts_as_infinite_in_the_target():
    def loss(failing):
        return lambda task: [1.0, math.inf] if task.seed in failing else 1.0

    given = header("adamw", seeds=3)
    assert raced(given, loss({3})).target == 1.0
    result = raced(given, loss({2, 3}))
    assert result.target is None
    assert result.board[0].times == ()
    assert "target" not in result.verdict


@pytest.mark.parametrize(("terms", "target"), [({"reference": None}, None), ({"target": 2.5}, 2.5)])
def test_a_given_target_is_the_target_and_without_a_reference_there_is_none(terms, target):
    given = header("sgd", "adamw", **terms)
    assert target_of(given, []) == target
    assert raced(given, level(sgd=1.0, adamw=1.0)).target == target


def test_a_target_that_is_never_reached_is_said():
    result = raced(header("sgd", "adam", target=-1.0), level(sgd=1.0, adam=2.0))
    assert all(set(row.times) == {math.inf} for row in result.board)
    assert "The target was never reached." in result.verdict


@pytest.mark.parametrize(("best", "edges"), [(1e-9, {"lr": "low"}), (1e9, {"lr": "high"})])
def test_a_setting_at_the_end_of_what_was_searched_is_flagged(best, edges):
    result = raced(header("sgd", reference=None), valley(best))
    assert result.board[0].edges == edges
    assert len(result.extended) == 2
    assert "a better one may lie beyond it" in result.verdict


def test_a_setting_within_what_was_searched_is_not():
    result = raced(header("sgd", reference=None), valley(0.1))
    assert result.board[0].edges == {}
    assert "beyond" not in result.verdict


def test_a_rule_that_lost_to_one_it_contains_is_flagged_as_under_tuned():
    result = raced(header("sgd", "momentum", "adam"), level(sgd=1.0, momentum=2.0, adam=3.0,
                                                             adamw=1.0))  # fmt: skip
    lost = {row.rule: row.lost_to for row in result.board}
    assert lost == {"sgd": (), "momentum": ("SGD",), "adam": ("Momentum", "SGD")}
    assert "They are under-tuned" in result.verdict


def test_a_rule_that_diverged_with_every_seed_stands_last_and_claims_no_edge():
    def loss(task):
        return math.inf if task.rule == "adam" else valley(0.1)(task)

    result = raced(header("adam", "sgd", reference=None), loss)
    last = result.board[-1]
    assert (last.rule, last.failures, last.edges) == ("adam", 10, {})
    assert last.loss.value == math.inf


def test_a_race_that_nobody_finished_has_no_verdict_and_no_target():
    result = raced(header("sgd", "adamw"), lambda task: math.inf)
    assert result.verdict.startswith("No verdict: every run diverged.")
    assert result.target is None


def test_a_race_by_errors_is_decided_by_them():
    given = header("sgd", metric="error", reference=None, seeds=2)
    result = raced(given, level(sgd=1.0))
    assert result.board[0].losses == (0.5, 0.5)
    assert "validation error" in result.verdict


def test_the_board_follows_from_the_header_and_the_runs_alone():
    given, loss = header("sgd", "adamw"), level(sgd=1.0, adamw=2.0)
    result = raced(given, loss)
    known = {run.task.key: run for run in result.runs}
    again = conclude(given, follow(given, lambda tasks: [known[task.key] for task in tasks]))
    assert again == result


def test_a_single_run_is_a_course_too():
    given = header("sgd", trials=1, seeds=1, reference=None)
    trainer = Trainer(lambda task: 1.0)
    runs = trainer([Task(TRIAL, "sgd", {}, 0), Task(FINAL, "sgd", {}, 1)])
    result = conclude(given, Course(tuple(runs), given.spaces, ()), ["One remark."])
    assert result.board[0].setting == {}
    assert result.remarks == ("One remark.",)
