"""A record keeps what happened: every event once, with its number, its data and its run."""

import math
import os
import sqlite3
import sys

import pytest

from thalweg import record
from thalweg.errors import BadType, BadValue, UnknownName


@pytest.fixture
def book(tmp_path):
    with record.open(tmp_path / "thalweg.db") as book:
        yield book


def _values(book, run, name):
    return [(event.step, event.value) for event in book.events(run.id, name)]


def test_nothing_is_written_before_the_first_run_begins(book):
    assert book.runs() == []
    assert not book.path.exists()
    book.begin("digits", {})
    assert book.path.exists()


def test_an_event_is_there_after_a_flush_and_not_before(book):
    run = book.begin("digits", {})
    run.emit("loss", 17, 0.25)
    assert book.events(run.id) == []
    run.flush()
    (event,) = book.events(run.id)
    assert event[:4] == (17, "loss", 0.25, None)


@pytest.mark.parametrize("value", [0.1, 0.0, 5e-324, math.inf, -math.inf])
def test_a_number_comes_back_bit_for_bit(book, value):
    run = book.begin("digits", {})
    run.emit("loss", 0, value)
    run.flush()
    assert book.events(run.id)[0].value.hex() == value.hex()


def test_nan_comes_back_as_nan_and_no_number_as_none(book):
    run = book.begin("digits", {})
    run.emit("loss", 0, math.nan, {"batch": 3})
    run.emit("loss", 1, None, {"batch": 4})
    run.flush()
    diverged, silent = book.events(run.id)
    assert math.isnan(diverged.value)
    assert silent.value is None
    assert (diverged.data, silent.data) == ({"batch": 3}, {"batch": 4})


def test_data_with_nan_and_infinity_comes_back(book):
    run = book.begin("digits", {})
    run.emit("epoch", 3, None, {"train_loss": math.nan, "worst": [math.inf, None, "é"]})
    run.flush()
    data = book.events(run.id)[0].data
    assert math.isnan(data["train_loss"])
    assert data["worst"] == [math.inf, None, "é"]


def test_data_is_kept_as_it_was_when_it_was_emitted(book):
    run = book.begin("digits", {})
    data = {"lr": 0.1}
    run.emit("epoch", 0, None, data)
    data["lr"] = 0.2
    run.flush()
    assert book.events(run.id)[0].data == {"lr": 0.1}


def test_an_event_that_is_emitted_again_is_ignored(book):
    run = book.begin("digits", {})
    for value in (0.5, 0.25):
        run.emit("loss", 0, value)
        run.flush()
    assert _values(book, run, "loss") == [(0, 0.5)]


def test_events_come_in_the_order_of_their_steps(book):
    run = book.begin("digits", {})
    for step in (10, 2, 1):
        run.emit("loss", step, float(step))
    run.emit("accuracy", 2, 0.5)
    run.flush()
    assert [event[:2] for event in book.events(run.id)] == [
        (1, "loss"),
        (2, "accuracy"),
        (2, "loss"),
        (10, "loss"),
    ]


def test_events_that_nobody_flushes_do_not_pile_up_in_memory(book):
    run = book.begin("digits", {})
    for step in range(record.run.WAITING + 1):
        run.emit("loss", step, 0.0)
    assert len(book.events(run.id)) == record.run.WAITING + 1


def test_a_run_says_what_it_is_and_where_it_came_from(book):
    hyper = {"rule": "adamw", "lr": 3e-4, "betas": [0.9, 0.999]}
    parent = book.begin("digits", {}, kind="race")
    book.begin("digits", hyper, seed=7, source="ab12", parent=parent.id, threads=2)
    race, train = book.runs()
    assert (race.kind, train.kind) == ("race", "train")
    assert (train.hyper, train.seed, train.source, train.parent) == (hyper, 7, "ab12", parent.id)
    assert train.provenance["command"] == sys.argv
    assert train.provenance["threads"] == 2
    assert train.provenance["python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_versions_are_those_that_the_packages_report(book):
    import numpy
    import torch

    import thalweg

    book.begin("digits", {})
    (run,) = book.runs()
    for package in (thalweg, torch, numpy):
        assert run.provenance[package.__name__] == package.__version__


def test_a_summary_shows_the_last_step_and_the_last_numbers(book):
    run = book.begin("digits", {})
    for step in range(20):
        run.emit("loss", step, 1.0 / (step + 1))
    run.emit("epoch", 2, None, {"train_loss": 0.5, "note": "text", "valid": {"accuracy": 1}})
    run.flush()
    (summary,) = book.runs()
    assert summary.step == 19
    assert summary.last == {
        "loss": 0.05,
        "epoch/train_loss": 0.5,
        "epoch/valid/accuracy": 1.0,
    }


def test_runs_are_found_by_kind_name_and_the_beginning_of_their_id(book):
    ids = [book.begin(name, {}, kind=kind).id for name, kind in (("a", "x"), ("b", "x"))]
    assert [run.id for run in book.runs()] == ids
    assert [run.id for run in book.runs(kind="x", name="b")] == ids[1:]
    assert book.runs(kind="y") == []
    assert book.find(ids[0][:11].upper()).id == ids[0]


def test_a_run_that_does_not_exist_or_is_one_of_several_is_refused(book, monkeypatch):
    names = iter(["abc000000000", "abd000000000"])
    monkeypatch.setattr("secrets.token_hex", lambda length: next(names))
    for _ in range(2):
        book.begin("digits", {})
    with pytest.raises(UnknownName, match="there is no run 'b'"):
        book.events("b")
    with pytest.raises(UnknownName, match="2 runs begin with 'ab'"):
        book.resume("ab")


def test_a_run_ends_with_the_word_it_is_given(book):
    run = book.begin("digits", {})
    assert book.runs()[0].status == "running"
    run.emit("loss", 0, 1.0)
    run.end("finished")
    run.end("failed")
    (summary,) = book.runs()
    assert summary.status == "finished"
    assert summary.ended >= summary.started
    assert _values(book, run, "loss") == [(0, 1.0)]
    with pytest.raises(BadValue, match="has ended"):
        run.emit("loss", 1, 1.0)


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "finished"), (KeyboardInterrupt, "interrupted"), (ValueError, "failed")],
)
def test_a_run_left_as_a_context_says_how(book, error, status):
    def leave():
        with book.begin("digits", {}):
            if error:
                raise error

    if error:
        with pytest.raises(error):
            leave()
    else:
        leave()
    assert book.runs()[0].status == status


def test_closing_the_record_keeps_what_waits_and_ends_its_runs(tmp_path):
    with record.open(tmp_path / "thalweg.db") as book:
        run = book.begin("digits", {})
        run.emit("loss", 0, 1.0)
    with pytest.raises(BadValue, match="is closed"):
        book.runs()
    with record.open(tmp_path / "thalweg.db") as again:
        assert again.runs()[0].status == "interrupted"
        assert _values(again, run, "loss") == [(0, 1.0)]


def test_a_resumed_run_repeats_itself_without_doubling_and_goes_on(book):
    run = book.begin("digits", {})
    for step in range(5):
        run.emit("loss", step, float(step))
    run.end("interrupted")
    again = book.resume(run.id)
    assert book.runs()[0].status == "running"
    assert book.runs()[0].ended is None
    for step in range(3, 8):
        again.emit("loss", step, float(step))
    again.end("finished")
    assert _values(book, run, "loss") == [(step, float(step)) for step in range(8)]
    assert book.runs()[0].status == "finished"


def test_each_resumption_notes_its_own_provenance(book):
    run = book.begin("digits", {})
    for _ in range(2):
        book.resume(run.id).end("interrupted")
    first, second = book.events(run.id, "resumed")
    assert (first.step, second.step) == (1, 2)
    assert second.data["command"] == sys.argv


def test_resuming_a_run_that_is_open_here_takes_over_what_it_had_to_say(book):
    run = book.begin("digits", {})
    run.emit("loss", 0, 1.0)
    again = book.resume(run.id)
    again.emit("loss", 0, 1.0)
    again.end("finished")
    book.close()
    with record.open(book.path) as reopened:
        assert reopened.runs()[0].status == "finished"


def test_the_place_is_the_path_or_the_variable_or_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THALWEG_RECORD", raising=False)
    assert record.open().path == tmp_path / "thalweg.db"
    monkeypatch.setenv("THALWEG_RECORD", "elsewhere.db")
    assert record.open().path == tmp_path / "elsewhere.db"
    assert record.open("here.db").path == tmp_path / "here.db"


def test_a_record_stays_where_it_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    with record.open("thalweg.db") as book:
        monkeypatch.chdir("below")
        book.begin("digits", {})
    assert (tmp_path / "thalweg.db").exists()


def test_any_file_name_will_do(tmp_path):
    path = tmp_path / "what? 100% #1.db"
    with record.open(path) as book:
        book.begin("digits", {})
    assert path.exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", 0, 1.0), BadValue),
        ((3, 0, 1.0), BadType),
        (("\ud800", 0, 1.0), BadValue),
        (("loss", 0.5, 1.0), BadType),
        (("loss", 2**63, 1.0), BadValue),
        (("loss", 0, "low"), BadType),
        (("loss", 0, 10**400), BadType),
        (("loss", 0, None, object()), BadType),
        (("loss", 0, None, {"a": "\ud800"}), BadType),
    ],
)
def test_an_event_that_cannot_be_kept_is_refused_when_it_is_emitted(book, arguments, error):
    run = book.begin("digits", {})
    run.emit("loss", 0, 1.0)
    with pytest.raises(error):
        run.emit(*arguments)
    run.flush()
    assert _values(book, run, "loss") == [(0, 1.0)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"name": ""}, BadValue),
        ({"hyper": {"lr": object()}}, BadType),
        ({"seed": 0.5}, BadType),
        ({"kind": None}, BadType),
        ({"parent": "none"}, UnknownName),
    ],
)
def test_a_run_that_cannot_be_kept_is_refused_before_there_is_a_file(book, arguments, error):
    with pytest.raises(error):
        book.begin(**{"name": "digits", "hyper": {}, **arguments})
    assert not book.path.exists()


def test_numbers_of_numpy_and_torch_are_numbers(book):
    import numpy
    import torch

    run = book.begin("digits", {})
    run.emit("loss", numpy.int64(3), torch.tensor(0.5))
    run.emit("loss", 4, numpy.float32(0.25))
    run.flush()
    assert _values(book, run, "loss") == [(3, 0.5), (4, 0.25)]


def test_anyone_can_read_it_with_sqlite_alone_while_it_is_written(book):
    run = book.begin("digits", {"lr": 0.1})
    run.emit("loss", 0, 0.5)
    run.flush()
    with sqlite3.connect(book.path) as reader:
        query = "SELECT hyper, step, value FROM events JOIN runs ON run = id"
        assert reader.execute(query).fetchall() == [('{"lr":0.1}', 0, 0.5)]
    reader.close()
    run.emit("loss", 1, 0.25)
    run.flush()
    assert len(book.events(run.id)) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_is_told_to_open_the_record_itself(book):
    run = book.begin("digits", {})
    run.emit("loss", 0, 1.0)
    child = os.fork()
    if not child:
        try:
            run.flush()
        except BadValue as error:
            os._exit(7 if "forked" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_of_two_that_resume_a_run_at_once_one_is_refused(tmp_path, monkeypatch):
    """The other takes the run between the look at who writes it and the word that it is taken."""
    place = tmp_path / "thalweg.db"
    with record.open(place) as book:
        run = book.begin("digits", {})
        run.end("interrupted")
    other, own = record.open(place), record.record.process

    def beaten() -> dict:
        monkeypatch.setattr(record.record, "process", lambda: {**own(), "pid": 1, "born": None})
        other.resume(run.id)
        monkeypatch.setattr(record.record, "process", own)
        return own()

    with record.open(place) as book:
        monkeypatch.setattr(record.record, "process", beaten)
        with pytest.raises(BadValue, match="resumed by another process at this very moment"):
            book.resume(run.id)
    assert '"pid": 1,' in other._store.read("SELECT process FROM runs")[0][0]
