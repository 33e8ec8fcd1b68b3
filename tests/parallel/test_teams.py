"""Teams of several sizes train one problem: recorded whole, compared fairly, stopped in order."""

import signal
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import fsum

import pytest
import torch
from small import fitted

from thalweg import parallel, record
from thalweg.errors import BadFile, BadType, BadValue
from thalweg.parallel import (
    Downpour,
    Fault,
    InProcess,
    Interrupted,
    Listener,
    Network,
    Synchronous,
    Tally,
    exponential,
    train_problem,
)
from thalweg.parallel.account import passed
from thalweg.parallel.flat import vector_of
from thalweg.parallel.teams.team import read
from thalweg.parallel.teams.training import looks

DOWNPOUR = Downpour("adagrad", lr=0.1)


@pytest.fixture
def book(tmp_path):
    with record.open(tmp_path / "runs.db") as opened:
        yield opened


class Heard(Listener):
    """Keeps all moments, and lets something happen after so many."""

    def __init__(self, after=-1, act=lambda: None):
        self.moments, self.after, self.act = [], after, act

    def hears(self, moment):
        self.moments.append(moment)
        if len(self.moments) == self.after:
            self.act()


def interrupt(number=signal.SIGINT):
    signal.raise_signal(number)


# What is recorded.


def test_the_record_tells_all_that_the_training_returned(book):
    engine = InProcess(
        network=Network(latency=exponential(0.3), loss=0.05, timeout=5.0),
        faults=[Fault(4.0, "kill worker", 1, lasts=2.0), Fault(8.0, "kill shard", 0, lasts=1.0)],
        snapshot_every=3,
    )
    run = book.begin("small", {"workers": 3, "time": engine.unit}, kind="parallel")
    result = fitted(DOWNPOUR, 3, engine=engine, looks=2, run=run)
    run.end("finished")
    told = read(book, run.id)
    assert result.tally.restarts == 1
    assert result.tally.resent > 0
    assert told.tally == result.tally
    assert (told.history, told.losses, told.began) == (result.history, result.losses, result.began)
    assert (told.workers, told.unit, told.status) == (3, "virtual seconds", "finished")
    assert told.gradients == 18


def test_every_gradient_is_heard_and_counted_for_its_worker():
    heard = Heard()
    result = fitted(DOWNPOUR, 3, listener=heard)
    ranks = [moment.worker for moment in heard.moments]
    assert {rank: ranks.count(rank) for rank in range(3)} == dict(result.tally.measured)
    assert [moment.gradients for moment in heard.moments] == list(range(1, 19))
    assert heard.moments[-1].examples == 3 * 48


def test_the_running_loss_is_the_mean_of_the_batches_that_were_heard():
    heard = Heard()
    result = fitted(DOWNPOUR, 2, listener=heard, batch=1, epochs=5)
    ends = [each.gradients for each in result.losses]
    assert (len(ends), ends[-1]) == (200, 240)
    batches = [moment.loss for moment in heard.moments]
    stretches = [batches[before:end] for before, end in pairwise([0, *ends])]
    means = [fsum(stretch) / len(stretch) for stretch in stretches]
    assert [each.loss for each in result.losses] == pytest.approx(means, rel=1e-12)
    assert result.losses[-1].examples == result.history[-1].examples == 240


@pytest.mark.parametrize(("epochs", "per_epoch"), [(1, 20), (3, 7), (20, 1), (90, 1)])
def test_an_epoch_has_so_many_looks_that_a_training_has_twenty(epochs, per_epoch):
    assert looks(epochs) == per_epoch


def test_looks_are_evenly_spread_and_one_is_at_the_end_of_each_epoch():
    result = fitted(DOWNPOUR, 2, looks=4)
    assert [point.gradients for point in result.history] == [
        2,
        3,
        5,
        6,
        8,
        9,
        11,
        12,
        14,
        15,
        17,
        18,
    ]
    assert passed(Fraction(3, 2), 0, 1) is False
    assert passed(Fraction(3, 2), 1, 3) is True


# One number of workers after the other.


def test_each_team_trains_as_it_would_alone_and_belongs_to_a_run_for_all(book):
    how = {"batch": 256, "epochs": 2, "seed": 3, "book": book}
    together = train_problem("digits", DOWNPOUR, (2, 1), name="downpour", **how)
    (alone,) = train_problem("digits", DOWNPOUR, (2,), **how).teams
    assert [team.workers for team in together.teams] == [1, 2]
    models = [team.model for team in (alone, together.teams[1])]
    vectors = [vector_of(model) for model in models if model is not None]
    assert torch.equal(*vectors)
    first, *members, last = book.runs()
    assert (first.kind, first.hyper["workers"], first.status) == ("teams", [1, 2], "finished")
    assert [run.parent for run in members] == [first.id] * 2
    assert last.parent is None
    assert members[1].hyper["parallel"] == "downpour"
    assert members[1].hyper["engine"] == "InProcess"
    assert last.hyper["parallel"] == "Downpour"
    assert together.teams[1].tally == alone.tally


def test_in_virtual_time_without_delay_workers_in_step_see_as_many_times_the_examples(book):
    teams = train_problem("digits", Synchronous(lr=0.1), (1, 3), batch=359, epochs=2, book=book)
    one, three = teams.teams
    assert (one.speed, three.speed) == (1077 / 3, 1077)
    assert three.history[-1].examples == one.history[-1].examples


def test_an_engine_may_be_made_for_each_number_of_workers(book):
    made = []

    def engine(workers):
        made.append(workers)
        return InProcess(compute=float(workers))

    teams = train_problem("digits", DOWNPOUR, (1, 2), engine, batch="all", epochs=1, book=book)
    assert made == [1, 2]
    assert [team.history[-1].time for team in teams.teams] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("algorithm", "workers", "error", "message"),
    [
        ("downpour", (1,), BadType, "expected one such as Downpour"),
        (DOWNPOUR, (), BadValue, "expected numbers of workers"),
        (DOWNPOUR, 2, BadValue, "workers=2; expected numbers of workers"),
        (DOWNPOUR, (1, 0), BadValue, "workers=0"),
        (DOWNPOUR, (2, 1, 2), BadValue, "has a number twice"),
        (replace(DOWNPOUR, rule="adagrat"), (1,), ValueError, "Did you mean 'adagrad'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_recorded(
    algorithm, workers, error, message, book
):
    with pytest.raises(error, match=message):
        train_problem("digits", algorithm, workers, book=book)
    assert book.runs() == []


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"epochs": 0}, BadValue, "epochs=0"),
        ({"batch": 0}, BadValue, "batch=0"),
        ({"engine": "ray"}, BadType, "engine='ray'"),
        ({"engine": lambda count: count}, BadType, "engine=1 for workers=1"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_recorded(
    how, error, message, book
):
    with pytest.raises(error, match=message):
        train_problem("digits", DOWNPOUR, **how, book=book)
    assert book.runs() == []


def test_snapshots_of_an_earlier_training_are_refused_before_the_first_team_trains(book, tmp_path):
    def engine(count):
        return InProcess(snapshots=tmp_path / f"workers-{count}")

    train_problem("digits", DOWNPOUR, (2,), engine, batch="all", epochs=1, book=book)
    with pytest.raises(BadFile, match="workers-2/shard-0 holds snapshots"):
        train_problem("digits", DOWNPOUR, (1, 2), engine, batch="all", epochs=1, book=book)
    assert len(book.runs()) == 1


def test_teams_that_would_share_a_folder_of_snapshots_are_refused(book, tmp_path):
    with pytest.raises(BadValue, match="is one folder for several trainings"):
        train_problem("digits", DOWNPOUR, (1, 2), InProcess(snapshots=tmp_path), book=book)
    assert book.runs() == []


# Stopped by a signal.


def test_a_signal_lets_workers_finish_and_keeps_what_was_done():
    with pytest.raises(Interrupted, match="Stopped after 7 of 18 gradients") as caught:
        fitted(DOWNPOUR, 3, listener=Heard(5, interrupt))
    result = caught.value.result
    assert caught.value.signal == signal.SIGINT
    assert result.tally.measured.total() == 7
    assert result.tally.undealt == 11
    assert result.history[-1].gradients == 7
    assert result.tally.receipts.total() == 7


def test_the_second_interrupt_does_not_wait():
    def twice():
        interrupt()
        interrupt()

    heard = Heard(5, twice)
    with pytest.raises(KeyboardInterrupt) as caught:
        fitted(DOWNPOUR, 3, listener=heard)
    assert not isinstance(caught.value, Interrupted)
    assert len(heard.moments) == 5


def test_before_the_first_gradient_a_signal_is_for_who_listened_before():
    class Hasty(Heard):
        def begins(self, workers, gradients, epochs, unit):
            interrupt()

    heard = Hasty()
    with pytest.raises(KeyboardInterrupt) as caught:
        fitted(DOWNPOUR, 3, listener=heard)
    assert not isinstance(caught.value, Interrupted)
    assert heard.moments == []


def test_of_several_teams_those_done_and_the_one_under_way_are_kept(book):
    listener = Heard(12, lambda: interrupt(signal.SIGTERM))
    with pytest.raises(Interrupted) as caught:
        train_problem("digits", DOWNPOUR, (1, 2, 4), batch=128, epochs=1, book=book,
                      listener=listener)  # fmt: skip
    assert caught.value.signal == signal.SIGTERM
    done = caught.value.result.teams
    assert [(team.workers, team.status) for team in done] == [(1, "finished"), (2, "interrupted")]
    assert done[1].tally.undealt > 0
    assert [run.status for run in book.runs()] == ["interrupted", "finished", "interrupted"]


@pytest.mark.long
def test_workers_on_ray_finish_too_when_a_signal_comes(book):
    pytest.importorskip("ray")
    with pytest.raises(Interrupted) as caught:
        train_problem("digits", DOWNPOUR, (2,), parallel.RayEngine(), batch=16, epochs=20,
                      book=book, listener=Heard(30, interrupt))  # fmt: skip
    (team,) = caught.value.result.teams
    assert 30 <= team.tally.measured.total() < 100
    assert team.tally.receipts.total() == team.tally.measured.total()
    assert team.tally.lost_gradients == team.tally.lost_pushes == 0
    assert team.began > 0


def test_a_tally_outlives_its_way_through_the_record():
    tally = Tally(restarts=2, lost_updates=3)
    tally.measured.update({0: 4, 7: 1})
    tally.staleness.update({0: 1, 12: 3})
    assert Tally.of_data(tally.as_data()) == tally
