"""Whatever breaks: a training ends, no push counts twice, and what is lost is counted."""

import numpy as np
import pytest
from counting import COUNT, PLAIN, check_ledger, counted

from thalweg.parallel import (
    Downpour,
    Fault,
    InProcess,
    Network,
    Outcome,
    Synchronous,
    constant,
    exponential,
    failures,
    lognormal,
)


def test_without_faults_every_gradient_is_applied_once() -> None:
    applied, tally = counted(PLAIN, InProcess(), workers=7, shards=3)
    assert (applied == 1).all()
    assert tally.receipts == {Outcome.APPLIED: 3 * COUNT}


@pytest.mark.parametrize("seed", range(30))
def test_random_faults_neither_hang_nor_apply_twice_nor_lose_unnoticed(seed: int) -> None:
    random = np.random.default_rng(seed)
    workers, shards = int(random.integers(1, 9)), int(random.integers(1, 4))
    until = 2 * COUNT / workers
    faults = [
        *failures("kill worker", workers, exponential(until / 3), exponential(5.0), until, seed),
        *failures("pause worker", workers, exponential(until / 2), exponential(15.0), until, seed),
        *failures("kill shard", shards, exponential(until), exponential(4.0), until, seed),
    ]
    network = Network(exponential(0.3), constant(5000.0), loss=0.05, timeout=4.0, retries=8)
    engine = InProcess(lognormal(1.0, 0.5), network, faults, snapshot_every=5, seed=seed)
    applied, tally = counted(PLAIN, engine, workers=workers, shards=shards)
    check_ledger(applied, tally)
    if shards == 1:
        assert tally.receipts[Outcome.APPLIED] - tally.lost_updates == applied.sum()
    deaths = sum(fault.kind == "kill shard" for fault in faults)
    assert tally.lost_updates <= 4 * deaths, "no more than since the last snapshot"


@pytest.mark.parametrize("seed", range(8))
def test_synchronous_rounds_survive_faults(seed: int) -> None:
    """No round waits for the dead; each gradient weighs what its round had members."""
    faults = [
        *failures("kill worker", 4, exponential(30.0), exponential(5.0), 60.0, seed),
        *failures("pause worker", 4, exponential(30.0), exponential(15.0), 60.0, seed),
        *failures("kill shard", 2, exponential(60.0), exponential(4.0), 60.0, seed),
    ]
    network = Network(exponential(0.3), loss=0.05, timeout=4.0, retries=8)
    engine = InProcess(lognormal(1.0, 0.5), network, faults, snapshot_every=5, seed=seed)
    applied, tally = counted(Synchronous("sgd", lr=1.0), engine, workers=4, shards=2)
    shares = {0.0, *(1 / k for k in range(1, 9))}
    assert all(min(abs(each - share) for share in shares) < 1e-12 for each in applied)
    assert tally.undealt == 0 or tally.unreachable


# One thing at a time.


def test_a_push_whose_answer_is_lost_is_sent_again_and_not_applied_again() -> None:
    applied, tally = counted(PLAIN, InProcess(network=Network(0.1, loss=0.2, retries=50)))
    assert (applied == 1).all()
    assert tally.receipts[Outcome.DUPLICATE] > 0
    assert tally.resent > 0


def test_a_killed_worker_loses_what_it_had_in_hand_and_another_takes_its_place() -> None:
    engine = InProcess(faults=[Fault(10.5, "kill worker", 1, lasts=5)])
    applied, tally = counted(PLAIN, engine, workers=3)
    assert (applied.sum(), tally.lost_gradients, tally.restarts) == (COUNT - 1, 1, 1)


@pytest.mark.parametrize("seed", range(6))
def test_a_push_under_way_when_its_worker_dies_counts_once_or_not_at_all(seed: int) -> None:
    """It left at 3.0 for two shards, a second away each, of which the first keeps its unit."""
    faults = [Fault(3.5, "kill worker", 0)]
    engine = InProcess(network=Network(1.0), faults=faults, seed=seed, detection=5.0)
    applied, tally = counted(PLAIN, engine, shards=2)
    assert applied.sum() == applied[0] <= 1
    assert tally.receipts[Outcome.APPLIED] <= tally.lost_pushes == 2
    assert tally.undealt == COUNT - 1


def test_a_killed_shard_comes_back_from_its_snapshot() -> None:
    """The 20th update is kept, the seven after it are lost, and said to be."""
    engine = InProcess(faults=[Fault(27.5, "kill shard", lasts=2)], snapshot_every=10)
    applied, tally = counted(PLAIN, engine)
    assert (tally.lost_updates, tally.restored) == (7, 1)
    assert list(np.flatnonzero(applied == 0))[:7] == list(range(20, 27))
    assert tally.receipts[Outcome.UNKNOWN] == 1, "the push that was on its way had read the lost"
    assert applied.sum() == COUNT - 7 - 1


def test_a_paused_worker_comes_back_late_and_its_old_gradient_is_refused() -> None:
    late = Downpour("sgd", lr=1.0, divide=False, warm_start=0, staleness=10)
    engine = InProcess(faults=[Fault(5.5, "pause worker", 0, lasts=30)])
    applied, tally = counted(late, engine, workers=3)
    assert tally.receipts[Outcome.STALE] == 1
    assert applied.sum() == COUNT - 1


def test_when_all_workers_are_dead_it_ends_and_says_what_is_missing() -> None:
    faults = [Fault(10.5, "kill worker", rank) for rank in range(3)]
    applied, tally = counted(PLAIN, InProcess(faults=faults), workers=3)
    assert applied.sum() == 30
    assert (tally.lost_gradients, tally.undealt) == (3, COUNT - 33)


def test_a_shard_that_never_comes_back_is_given_up() -> None:
    engine = InProcess(faults=[Fault(10.5, "kill shard")], network=Network(timeout=3, retries=2))
    applied, tally = counted(PLAIN, engine, workers=2)
    assert tally.unreachable == 2
    assert tally.undealt > 0
    assert (applied.sum(), tally.lost_updates) == (0, 20)


def test_a_first_worker_that_dies_alone_does_not_keep_the_others_waiting() -> None:
    algorithm = Downpour("sgd", lr=1.0, divide=False, warm_start=50)
    engine = InProcess(faults=[Fault(10.5, "kill worker", 0)])
    applied, tally = counted(algorithm, engine, workers=3)
    assert applied.sum() == COUNT - 1
    assert tally.released == 2
