"""Runs that have ended are put down together: all with their events, or none."""

import math
import sqlite3
import sys
from contextlib import closing
from typing import Any

import pytest

from thalweg import record
from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.record import Event, Finished

WRONG: Any = Event


@pytest.fixture
def book(tmp_path):
    with record.open(tmp_path / "thalweg.db") as book:
        yield book


def run(number=0, **changes):
    events = (
        Event(1, "epoch", 0.1 + number, {"valid_loss": 1 / 3, "accuracy": math.inf}, 5.0),
        Event(2, "epoch", math.inf, {"valid_loss": None}, 6.0),
        Event(2, "note", None, "text", 7.0),
    )
    whole = Finished(
        "digits", {"rule": "adam", "lr": 0.1 * number}, started=1.0, ended=2.0, events=events,
        seed=number, source="ab12", kind="trial", status="finished",
    )  # fmt: skip
    return Finished(**{**vars(whole), **changes})


def test_they_come_back_as_they_were_in_the_order_they_were_put_down(book):
    parent = book.begin("digits", {}, kind="race")
    runs = [run(number) for number in range(30)]
    book.add(runs[:20], parent.id)
    book.add(runs[20:], parent.id)
    assert book.members(parent.id) == runs


def test_nan_comes_back_as_nan(book):
    parent = book.begin("digits", {})
    book.add([run(events=(Event(1, "loss", math.nan, None, 1.0),))], parent.id)
    (again,) = book.members(parent.id)
    assert math.isnan(again.events[0].value)


def test_they_are_runs_like_any_other(book):
    parent = book.begin("digits", {}, kind="race")
    book.add([run(3)], parent.id, threads=2)
    (found,) = book.runs(kind="trial")
    assert (found.parent, found.seed, found.status) == (parent.id, 3, "finished")
    assert (found.started, found.ended) == (1.0, 2.0)
    assert found.provenance["command"] == sys.argv
    assert found.provenance["threads"] == 2
    assert [event[:3] for event in book.events(found.id, "epoch")] == [
        (1, "epoch", 3.1), (2, "epoch", math.inf),
    ]  # fmt: skip
    assert found.events["epoch"].step == 2


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": ""}, BadValue),
        ({"hyper": {"lr": object()}}, BadType),
        ({"seed": 0.5}, BadType),
        ({"status": ""}, BadValue),
        ({"events": (Event(1, "", 1.0, None, 1.0),)}, BadValue),
        ({"events": (WRONG(1, "loss", "low", None, 1.0),)}, BadType),
        ({"events": (WRONG(0.5, "loss", 1.0, None, 1.0),)}, BadType),
    ],
)
def test_one_that_cannot_be_kept_keeps_out_all_of_them(book, changes, error):
    parent = book.begin("digits", {})
    with pytest.raises(error):
        book.add([run(), run(**changes)], parent.id)
    assert book.members(parent.id) == []


def test_a_write_that_fails_halfway_leaves_nothing(book):
    """The second table is gone: the runs had been written by then."""
    parent = book.begin("digits", {})
    with closing(sqlite3.connect(book.path)) as connection:
        connection.execute("ALTER TABLE events RENAME TO elsewhere")
    with pytest.raises(OSError, match="no such table"):
        book.add([run()], parent.id)
    with closing(sqlite3.connect(book.path)) as connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO events")
    assert len(book.runs()) == 1


def test_a_parent_that_does_not_exist_is_refused(book):
    book.begin("digits", {})
    with pytest.raises(UnknownName):
        book.add([run()], "none")


def test_members_that_still_run_are_not_among_them(book):
    parent = book.begin("digits", {}, kind="study")
    book.begin("digits", {}, parent=parent.id)
    book.add([run()], parent.id)
    assert book.members(parent.id) == [run()]


def test_runs_are_found_by_their_parent_and_left_out_by_its_kind(book):
    race, study = (book.begin("digits", {}, kind=kind) for kind in ("race", "study"))
    for parent in (race, study):
        book.add([run()], parent.id)
    (of_race,), (of_study,) = (book.runs(parent=each.id) for each in (race, study))
    assert [each.id for each in book.runs(outside="race")] == [of_study.id, race.id, study.id]
    assert of_race.parent == race.id
    assert len(book.runs()) == 4
