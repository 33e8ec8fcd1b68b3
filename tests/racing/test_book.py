"""A race is kept run by run, goes on where it was killed, and is read back from the record."""

import dataclasses
import json
import math
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from killable import LINE, split, told

from thalweg import record
from thalweg.errors import BadFile, BadValue, UnknownName
from thalweg.racing import Progress, enter, prepare, race, read
from thalweg.racing.result import PHASES, Epoch, Run, Task, Terms
from thalweg.racing.run import Crew
from thalweg.racing.written import FORMAT, finished, header_as_json, header_of, run_of
from thalweg.rules import rule

RULES = ("sgd", "adam")
SMALL: dict[str, Any] = {"trials": 3, "seeds": 2, "epochs": 2, "reference": "adam"}
EVERYTHING: dict[str, Any] = {
    "trials": 2, "seeds": 2, "epochs": 2, "seed": 3, "schedule": "cosine", "sampler": "random",
    "search": ("lr", "beta1"), "metric": "error", "reference": None, "target": 0.5, "memory": 2**30,
}  # fmt: skip


class Halt(Exception):
    """Stands for whatever ends a race before its time."""


def halted(path, after, problem=LINE, rules=RULES, **terms):
    """Begin a race that is ended after so many epochs have been told of."""
    left = [after]

    def report(progress):
        left[0] -= 1
        if left[0] < 0:
            raise Halt

    with pytest.raises(Halt):
        race(problem, rules, record=path, on_progress=report, **(terms or SMALL))


def mine(factor):
    """A rule that no catalogue has."""

    @rule("Mine")
    def mine(g, *, lr=0.1):
        """Step along the gradient."""
        return factor * lr * g

    return mine


@pytest.fixture
def path(tmp_path):
    return tmp_path / "races.db"


@pytest.fixture(scope="module")
def straight():
    """What the small race says when nothing comes between."""
    return told(race(LINE, RULES, **SMALL))


def kept(path):
    """The runs of the one race that a record holds, as they are told apart."""
    with record.open(path) as book:
        (own,) = book.runs("race")
        return [(run.kind, json.dumps(run.hyper), run.seed) for run in book.members(own.id)]


def its_id(path):
    with record.open(path) as book:
        return book.runs("race")[-1].id


# What is kept.


def test_without_a_record_nothing_is_written(tmp_path, monkeypatch, straight):
    monkeypatch.chdir(tmp_path)
    race(LINE, ["sgd"], trials=1, seeds=1, epochs=1, reference=None)
    assert list(tmp_path.iterdir()) == []


def test_every_training_is_a_run_under_the_race_with_its_curve(path):
    result = race(LINE, RULES, record=path, **SMALL)
    with record.open(path) as book:
        (own,) = book.runs(outside="race")
        members = book.runs(parent=own.id)
        assert (own.kind, own.name, own.status) == ("race", "line", "finished")
        assert len(members) == len(result.runs)
        assert {run.kind for run in members} <= set(PHASES)
        for member in members:
            (run,) = (each for each in result.runs if finished_as(each, member))
            epochs = book.events(member.id, "epoch")
            assert [event.value for event in epochs] == [e.validation_loss for e in run.curve]
            assert [event.step for event in epochs] == [1, 2]


def finished_as(run, member):
    setting = {"rule": run.task.rule, **run.task.setting}
    return (run.task.phase, setting, run.task.seed) == (member.kind, member.hyper, member.seed)


def test_the_winner_and_the_verdict_are_noted_for_whoever_lists_races(path):
    result = race(LINE, RULES, record=path, **SMALL)
    with record.open(path) as book:
        (own,) = book.runs("race")
    event = own.events["verdict"]
    assert event.data["words"] == result.verdict
    assert event.data["best"] == result.board[0].name
    assert event.value == result.board[0].loss.value


def test_a_race_of_which_every_run_diverged_says_so(path):
    @rule("Leap")
    def leap(g, *, lr=1e30):
        """Step too far."""
        return lr * g

    result = race(LINE, [leap], trials=1, seeds=1, reference=None, record=path)
    assert result.failed
    with record.open(path) as book:
        (own,) = book.runs("race")
        assert own.status == "diverged"
        assert {run.status for run in book.members(own.id)} == {"diverged"}


@pytest.mark.parametrize("terms", [{}, {k: v for k, v in EVERYTHING.items() if k != "memory"}])
def test_a_header_comes_back_from_json_as_it_was(path, terms):
    header = prepare(LINE, RULES, Terms(**terms)).header
    with record.open(path) as book:
        book.begin("line", {"format": FORMAT, "header": header_as_json(header)}, kind="race")
        (own,) = book.runs()
    assert header_of(own) == header


GOOD, BAD = Epoch(1, 0.1, 1 / 3, 0.7), Epoch(2, math.inf, math.inf, 0.0)


@pytest.mark.parametrize(
    "run",
    [
        Run(Task("trial", "adam", {"lr": 0.00123, "beta1": 0.95}, 7), (GOOD,), 0.1),
        Run(Task("final", "sgd", {}, 1), (GOOD, Epoch(2, 0.05, 0.2, 1.0)), 2.5, 0.3, 0.9),
        Run(Task("final", "sgd", {}, 1), (GOOD, BAD), 1e-3),
    ],
)
def test_a_run_comes_back_as_it_was(path, run):
    header = prepare(LINE, RULES).header
    with record.open(path) as book:
        book.add([finished(header, run, "source")], book.begin("line", {}, kind="race").id)
        (again,) = map(run_of, book.members(book.runs("race")[0].id))
    assert again == run


def test_without_classes_the_accuracy_comes_back_as_nan(path):
    run = Run(Task("final", "sgd", {"lr": 0.1}, 1), (Epoch(1, 0.5, 0.4, math.nan),), 1.0, 0.5)
    again = run_of(finished(prepare(LINE, RULES).header, run, "source"))
    assert math.isnan(again.accuracy)
    assert (again.test_loss, again.test_accuracy) == (0.5, None)


# Reading.


@pytest.mark.parametrize("terms", [SMALL, {**EVERYTHING, "schedule": "constant"}])
def test_a_race_is_read_back_from_the_record_alone(path, terms):
    result = race(LINE, RULES, record=path, **terms)
    assert read(path, its_id(path)) == result


def test_a_rule_of_ones_own_is_not_needed_to_read_its_race(path):
    result = race(LINE, [mine(1.0)], trials=2, seeds=2, reference=None, record=path)
    assert read(path, its_id(path)[:6]).board == result.board


def test_a_race_that_has_not_ended_cannot_be_read(path):
    halted(path, 3)
    with pytest.raises(BadValue, match="has not ended: .* trainings are recorded. Go on with it"):
        read(path, its_id(path))


def test_a_race_that_has_lost_a_run_is_refused(path):
    race(LINE, RULES, record=path, **SMALL)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "DELETE FROM runs WHERE id = (SELECT id FROM runs WHERE kind = 'final' LIMIT 1)"
        )
    connection.close()
    with pytest.raises(BadFile, match="has lost a training: no final of "):
        read(path, its_id(path))


def test_a_race_of_another_form_is_refused_by_whoever_reads_or_resumes(path):
    halted(path, 3)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE runs SET hyper = replace(hyper, '\"format\":1', '\"format\":99')"
        )
    connection.close()
    message = "was recorded in form 99, and this thalweg reads 1"
    with pytest.raises(BadFile, match=message):
        read(path, its_id(path))
    with pytest.raises(BadFile, match=message):
        race(LINE, RULES, record=path, resume=True, **SMALL)


def test_what_is_no_race_is_refused(path):
    with record.open(path) as book:
        id = book.begin("line", {"rule": "adam"}).id
        with pytest.raises(BadValue, match="is no race, but of the kind 'train'"):
            read(book, id)
        with pytest.raises(UnknownName, match="there is no run 'none'"):
            read(book, "none")


# Going on.


@pytest.mark.parametrize("after", [0, 1, 4, 8])
def test_a_race_that_was_stopped_goes_on_and_ends_with_the_same_numbers(path, after, straight):
    halted(path, after)
    before = kept(path)
    result = race(LINE, record=path, resume=True)
    assert told(result) == straight
    assert kept(path)[: len(before)] == before
    assert len(set(kept(path))) == len(kept(path)) == len(result.runs)
    assert read(path, its_id(path)) == result


def test_what_was_done_is_not_done_again(path):
    halted(path, 9)
    seen: list[Progress] = []
    result = race(LINE, record=path, resume=True, on_progress=seen.append)
    epochs = sum(len(run.curve) for run in result.runs)
    assert seen[0].done > 0
    assert seen[-1].done == epochs


def test_a_race_that_has_ended_is_read_back_and_one_with_other_terms_begins(path):
    first = race(LINE, RULES, record=path, **SMALL)
    again = race(LINE, RULES, record=path, resume=True, **SMALL)
    assert again.runs == first.runs
    race(LINE, RULES, record=path, resume=True, **{**SMALL, "seed": 7})
    with record.open(path) as book:
        assert [run.status for run in book.runs("race")] == ["finished"] * 2
        assert [run.seed for run in book.runs("race")] == [first.header.terms.seed, 7]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"trials": 4}, "begun with trials 3, and 4 was asked for"),
        ({"search": ("lr", "beta1")}, "begun with search lr, and beta1,lr was asked for"),
        ({"rules": ["sgd"]}, "begun with rules adam,sgd, and sgd was asked for"),
        ({"memory": 2**20}, "begun with memory none, and 1048576 was asked for"),
        ({"target": 0.5}, "begun with target none, and 0.5 was asked for"),
    ],
)
def test_another_term_than_it_was_begun_with_is_refused_naming_both(path, asked, message):
    halted(path, 3)
    with pytest.raises(BadValue, match=message):
        race(LINE, record=path, resume=True, **asked)
    with record.open(path) as book:
        assert [run.status for run in book.runs("race")] == ["failed"]


def test_the_rules_may_be_named_in_another_order(path, straight):
    halted(path, 3)
    assert told(race(LINE, reversed(RULES), record=path, resume=True)) == straight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "another"}, "The text of line.py changed since the race began"),
        ({"train": split(5, 64)}, "The data of line changed"),
        ({"validation": split(5, 32)}, "The data of line changed"),
        ({"batch_size": 8}, r"batch_size \(16 then, 8 now\) changed"),
    ],
)
def test_a_problem_that_has_changed_is_refused(path, change, message):
    halted(path, 3)
    with pytest.raises(BadValue, match=message):
        race(dataclasses.replace(LINE, **change), record=path, resume=True)


def test_another_version_of_torch_is_refused(path, monkeypatch):
    halted(path, 3)
    monkeypatch.setattr("torch.__version__", "0.4.1")
    with pytest.raises(BadValue, match=r"versions \(.*then, .*torch 0.4.1.* now\) changed"):
        race(LINE, record=path, resume=True)


def test_a_rule_that_has_changed_is_refused(path):
    halted(path, 1, rules=[mine(1.0)], trials=2, seeds=2, reference=None)
    with pytest.raises(BadValue, match="The rule 'mine' changed since the race began"):
        race(LINE, [mine(0.5)], record=path, resume=True)


def test_a_race_that_another_process_carries_out_is_left_to_it(path):
    process = started(path, trials=400)
    try:
        while not path.exists() or not record.open(path).runs("race"):
            assert process.poll() is None
            time.sleep(0.02)
        with pytest.raises(BadValue, match=f"still being written by process {process.pid}"):
            race(LINE, record=path, resume=True)
    finally:
        process.kill()
        process.communicate()


def test_resuming_without_a_record_is_refused():
    with pytest.raises(BadValue, match="no record to resume from"):
        race(LINE, RULES, resume=True)


def test_a_training_that_is_asked_for_twice_is_kept_once(path):
    plan = prepare(LINE, ["sgd"], Terms(reference=None, epochs=1))
    tasks = [Task("trial", "sgd", {"lr": 2.0**-k}, 0) for k in range(8)]
    with record.open(path) as book, enter(book, plan, None) as ledger:
        crew = Crew(plan, ledger, None)
        first, second = crew.train(tasks[:5]), crew.train(tasks[3:])
        assert second[:2] == first[3:]
        assert [run.task for run in ledger.runs()] == tasks
        assert Crew(plan, ledger, None).train(tasks) == [*first, *second[2:]]


# Killed.


def started(path, trials, memory=2**30):
    """Begin or go on with a race in another process."""
    script = Path(__file__).with_name("killable.py")
    return subprocess.Popen(
        [sys.executable, script, path, str(trials), str(memory)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def kill(path, trials, memory, wait):
    """Let a race go on in another process until it has kept something more, and kill it then."""
    before = len(kept(path)) if path.exists() else 0
    process = started(path, trials, memory)
    while not path.exists() or not record.open(path).runs("race") or len(kept(path)) == before:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(wait)
    assert process.poll() is None, "it ended before it could be killed"
    process.kill()
    process.communicate()


def check_killed(path, trials, waits, memory=2**30):
    """Kill a race after each of these seconds, let it end, and compare it with one left alone."""
    for wait in waits:
        kill(path, trials, memory, wait)
    result = race(LINE, record=path, resume=True)
    rules = ["sgd", "adam", "adamw"]
    assert told(result) == told(race(LINE, rules, trials=trials, seeds=3, memory=memory))
    tasks = {run.task.key for run in result.runs}
    assert len(set(kept(path))) == len(kept(path)) == len(tasks)
    with record.open(path) as book:
        assert [run.status for run in book.runs("race")] == ["finished"]


def test_killed_without_warning_it_goes_on_and_ends_with_the_same_numbers(path):
    check_killed(path, trials=48, waits=[0.05])


@pytest.mark.long
@pytest.mark.parametrize(
    ("trials", "memory"), [(60, 2**30), (10, 1)], ids=["side by side", "one after the other"]
)
def test_killed_again_and_again_at_any_moment_it_ends_with_the_same_numbers(path, trials, memory):
    chance = random.Random(trials)
    check_killed(path, trials, [chance.uniform(0, 0.1) for _ in range(3)], memory)


# A record that something else has changed.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE runs SET hyper = '{oops' WHERE kind = 'race'", "settings of run .* as JSON"),
        ("UPDATE runs SET hyper = '{}' WHERE kind = 'trial'", "a trial of line .*KeyError: 'rule'"),
        ("UPDATE events SET data = NULL WHERE name = 'epoch'", "of line with seed .* lacks what"),
        ("DELETE FROM events WHERE name = 'seconds'", "of line with seed .* lacks what"),
    ],
)
def test_a_damaged_record_is_refused_by_what_is_wrong_with_it(path, change, message):
    race(LINE, ["sgd"], record=path, trials=1, seeds=1, epochs=1, reference=None)
    id = its_id(path)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute(change).rowcount
        file.commit()
    with pytest.raises(BadFile, match=message):
        read(path, id)
