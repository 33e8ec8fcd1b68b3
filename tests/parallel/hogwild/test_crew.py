"""Threads see every example once, lose little, and put copies together as one would have."""

import numpy as np
import pytest

from thalweg import rules
from thalweg.parallel.hogwild import crew as crews
from thalweg.parallel.hogwild.crew import Crew, Observed, Sharing, Work, share_of_changes
from thalweg.parallel.hogwild.examples import visiting_order
from thalweg.parallel.hogwild.linear import linear_loops

EXAMPLES, TABLE = 1000, 50


def counting(seen: np.ndarray, begun: list | None = None) -> Work:
    """Work whose loop notes which examples it saw, at which clock, and adds one to each weight."""
    begun = [] if begun is None else begun

    def loop(table, scalars, hypers, counts, first, last, clock, stride):
        seen[first:last] += 1
        table[:, 0] += 1
        if len(counts):
            counts[0] += last - first
        begun.append((first, clock, stride))
        return float(last - first)

    merge = linear_loops(rules.sgd, "log_loss", "float64", "uint32").merge
    table = np.zeros((TABLE, 2))
    return Work(
        loop, merge, table, np.zeros(0), np.zeros(1), 0, EXAMPLES, 100.0,
        lambda first, last: last - first, np.zeros(TABLE), 1, 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    "sharing", [Sharing(), Sharing(2), Sharing(3), Sharing(2, True), Sharing(3, True)]
)
def test_an_epoch_sees_every_example_once(sharing: Sharing) -> None:
    seen = np.zeros(EXAMPLES, int)
    work = counting(seen)
    with Crew(sharing.threads, observed=Observed(sharing)) as crew:
        assert crew.epoch(work) == EXAMPLES
    assert (seen == 1).all()
    assert work.clock == EXAMPLES


def test_a_probe_sees_every_example_once_and_keeps_what_it_found() -> None:
    seen = np.zeros(EXAMPLES, int)
    work = counting(seen)
    with Crew(3, fixed=True) as crew:
        assert crew.epoch(work) == EXAMPLES
        assert crew.observed is not None
        assert crew.observed.sharing.threads == 3
        assert crew.observed.speed_up > 0
        assert crew.observed.conflict_rate == 0
    assert (seen == 1).all()


def test_small_work_is_left_to_one_thread() -> None:
    begun: list = []
    with Crew(2) as crew:
        crew.epoch(counting(np.zeros(EXAMPLES, int), begun))
        assert crew.observed is None
    assert begun == [(0, 1, 1)]


def test_threads_that_are_no_faster_are_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "PARALLEL_FROM", 0)
    monkeypatch.setattr(crews, "WORTH", float("inf"))
    with Crew(2) as crew:
        crew.epoch(counting(np.zeros(EXAMPLES, int)))
        assert crew.observed is not None
        assert crew.observed.sharing == Sharing()


def test_clocks_of_threads_run_side_by_side() -> None:
    begun: list = []
    with Crew(2, observed=Observed(Sharing(2))) as crew:
        crew.epoch(counting(np.zeros(EXAMPLES, int), begun))
    assert sorted(begun) == [(0, 1, 2), (500, 1, 2)]


def test_lost_updates_are_counted() -> None:
    work = counting(np.zeros(EXAMPLES, int))
    work.counted = lambda first, last: 2 * (last - first)
    with Crew(2, fixed=True) as crew:
        crew.epoch(work)
        assert crew.observed is not None
        assert crew.observed.sharing.copies or crew.observed.conflict_rate == 0.5


def test_state_of_copies_is_averaged_and_rare_weights_add_up() -> None:
    merge = linear_loops(rules.adagrad, "log_loss", "float64", "uint32").merge
    table = np.array([[1.0, 10.0, 7.0], [1.0, 10.0, 7.0]])
    copies = np.array([[[2.0, 12.0, 12.0]] * 2, [[4.0, 14.0, 12.0]] * 2])
    merge(table, copies, np.array([1.0, 0.5]), 1, 2)
    assert table.tolist() == [[5.0, 13.0, 7.0], [3.0, 13.0, 7.0]]


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_changes_add_up_to_those_of_one_thread_on_a_quadratic(threads: int) -> None:
    """From 1 to 0 by steps that leave 1 - load: n copies together go as far as n after another."""
    for load, examples in ((1e-12, 10.0), (0.01, 3.0), (0.2, 50.0), (1.0, 1000.0)):
        left = np.exp(-load * examples)
        (share,) = share_of_changes(np.array([load]), examples, threads)
        assert 1 - share * threads * (1 - left) == pytest.approx(left**threads, abs=1e-9)
        assert 1 / threads <= share <= 1


def test_many_examples_are_visited_in_blocks_of_neighbours_each_once() -> None:
    order = visiting_order(1000, 10**9, np.random.RandomState(0))
    assert sorted(order) == list(range(1000))
    assert (np.diff(order.astype(int)) == 1).mean() > 0.95
    assert (np.diff(order.astype(int)) != 1).any()
