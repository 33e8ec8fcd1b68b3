"""A simulation is the same every time, and its delays, losses and waits are what was asked for."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from small import Point, bowl, cross_entropy, data, fitted, job, logged

from thalweg import parallel, problems, record
from thalweg.parallel import (
    Algorithm,
    Distribution,
    Downpour,
    Elastic,
    InProcess,
    LocalUpdates,
    Network,
    Progress,
    Synchronous,
    constant,
    exponential,
    failures,
    lognormal,
    uniform,
)
from thalweg.parallel.flat import vector_of
from thalweg.parallel.inproc.clock import Clock
from thalweg.parallel.simulate import best, simulate

ROUGH = InProcess(
    lognormal(1.0, 0.5), Network(exponential(0.5), uniform(50, 500), loss=0.05, timeout=6.0), seed=3
)
ALGORITHMS: list[Algorithm] = [
    Downpour("adam", lr=0.1, n_push=2, n_fetch=3, overlap=True),
    Downpour("adaptive_revision", lr=0.1),
    Elastic(lr=0.1, momentum=0.5, period=2),
    LocalUpdates(lr=0.1, period=3),
    Synchronous(lr=0.1),
]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda each: type(each).__name__)
def test_the_same_seed_gives_the_same_bits(algorithm: Algorithm) -> None:
    first, again = (fitted(algorithm, 5, engine=ROUGH, shards=2) for _ in range(2))
    assert torch.equal(vector_of(first.model), vector_of(again.model))
    assert first.history == again.history
    assert first.tally == again.tally


def test_another_seed_is_another_simulation() -> None:
    other = InProcess(ROUGH.compute, ROUGH.network, seed=4)
    first, second = (fitted(ALGORITHMS[1], 5, engine=each) for each in (ROUGH, other))
    assert first.tally != second.tally


def test_the_random_numbers_of_the_caller_are_left_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(5, 2), torch.nn.Dropout(0.5))
    torch.manual_seed(1)
    parallel.fit(model, cross_entropy, data(), algorithm=Synchronous())
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("workers", [1, 2, 20])
def test_workers_in_step_are_late_by_all_the_others(workers: int) -> None:
    algorithm = Downpour("sgd", warm_start=0)
    _, tally = InProcess().run(job(Point(1.0), bowl, algorithm, 5 * workers, workers=workers))
    first = Counter(range(workers))
    assert tally.staleness == first + Counter({workers - 1: 4 * workers})


def test_a_delay_makes_gradients_of_a_worker_in_a_crowd_late() -> None:
    late = []
    for latency in (0.0, 3.0):
        engine = InProcess(uniform(0.5, 1.5), Network(exponential(latency)))
        algorithm = Downpour("sgd", warm_start=0, staleness=1000)
        _, tally = engine.run(job(Point(1.0), bowl, algorithm, 200, workers=10))
        late.append(tally.staleness)
    assert sum(late[0].values()) == sum(late[1].values()) == 200
    assert max(late[1]) > max(late[0])


def test_a_worker_waits_for_its_messages_and_their_bytes() -> None:
    """Of 8 bytes at 4 a second: pull 1 + 1 + 2, gradient 1; the push is on its way meanwhile."""
    times: list[float] = []
    engine = InProcess(network=Network(1.0, 4.0))
    made = job(Point(1.0), bowl, Downpour("sgd"), 3, every=1,
               watch=lambda progress: times.append(progress.time))  # fmt: skip
    engine.run(made)
    assert times[:2] == [5.0, 12.0]  # the second pull cannot overtake the push, of 3 seconds


def test_the_first_worker_begins_alone() -> None:
    made = job(Point(1.0), bowl, Downpour("sgd", warm_start=6), 30, workers=3)
    _, tally = InProcess().run(made)
    assert tally.staleness[0] == 6 + 1
    assert sum(tally.staleness.values()) == 30


def test_a_hundredth_of_the_gradients_is_measured_alone_by_default() -> None:
    made = job(Point(1.0), bowl, Downpour("sgd"), 300, workers=3)
    _, tally = InProcess().run(made)
    assert tally.staleness[0] == 3 + 1


@pytest.mark.parametrize("workers", [1, 4])
def test_the_rate_is_divided_among_the_workers(workers: int) -> None:
    made = Downpour("sgd", lr=0.5).serving(workers)
    assert made.hyper["lr"] == 0.5 / workers
    assert Downpour("sgd", lr=0.5, divide=False).serving(workers).hyper["lr"] == 0.5


def test_what_is_pushed_is_the_sum_since_the_last_push() -> None:
    """On the bowl, without local steps of any size, both gradients of a push are the point."""
    algorithm = Downpour("sgd", lr=0.25, n_push=2, n_fetch=2, local_lr=0.0)
    end, _ = logged(job(Point(8.0), bowl, algorithm, 5))
    assert end.tolist() == [8.0 * 0.5 * 0.5 * 0.75]


def test_between_fetches_a_worker_steps_by_itself() -> None:
    algorithm = Downpour("sgd", lr=0.5, n_push=4, n_fetch=4)
    _, asked = logged(job(Point(8.0), bowl, algorithm, 4))
    assert [float(at) for _, at in asked] == [8.0, 4.0, 2.0, 1.0]


def test_a_worker_that_overlaps_goes_on_while_it_fetches() -> None:
    """Then nothing but its pushes, four seconds each and one at a time, can hold it up."""
    waits, overlaps = (
        Downpour("sgd", lr=0.1, overlap=each, local_lr=0.0) for each in (False, True)
    )
    engine, ends = InProcess(network=Network(2.0)), []
    for algorithm in (waits, overlaps):
        times: list[float] = []
        made = job(Point(1.0), bowl, algorithm, 12, every=1,
                   watch=lambda progress, times=times: times.append(progress.time))  # fmt: skip
        engine.run(made)
        ends.append(times[-2])
    assert ends == [5.0 * 11, 5.0 + 1 + 4 * 9]


def test_a_thousand_workers_can_be_simulated() -> None:
    made = job(Point(1.0), bowl, Downpour("sgd", lr=1.0), 2000, workers=1000)
    values, tally = ROUGH.run(made)
    assert abs(float(values)) < 1
    assert tally.undealt == 0


def test_progress_is_told_at_every_so_many_gradients_and_at_the_end() -> None:
    told: list[Progress] = []
    made = job(Point(1.0), bowl, Downpour("sgd", lr=0.5), 25, every=10, watch=told.append)
    InProcess().run(made)
    assert [each.gradients for each in told] == [10, 20, 25]
    assert [each.updates for each in told] == [10, 20, 25]
    assert [each.time for each in told] == [10.0, 20.0, 25.0]
    assert told[0].loss == pytest.approx(np.mean([0.5 * 0.25**k for k in range(10)]))


def test_what_happens_goes_to_the_record(tmp_path: Any) -> None:
    with record.open(tmp_path / "book.db") as book:
        run = book.begin("small", {}, 0)
        result = fitted(Downpour("adam", lr=0.1), 2, valid=data(20, 2), run=run)
        run.end("finished")
        (kept,) = book.runs()
        last = kept.events.get("parallel")
    assert last is not None
    assert last.value == result.history[-1].valid_loss
    assert [point.gradients for point in result.history] == [6, 12, 18]


# Time and chance.


def test_a_clock_keeps_the_order_of_what_happens_at_one_time() -> None:
    clock, seen = Clock(), []
    for name, time in (("c", 2.0), ("a", 1.0), ("b", 1.0)):
        clock.at(time, lambda name=name: seen.append((name, clock.now)))  # type: ignore[misc]
    clock.run()
    assert seen == [("a", 1.0), ("b", 1.0), ("c", 2.0)]


@pytest.mark.parametrize(
    "made", [constant(2.0), exponential(3.0), uniform(1.0, 5.0), lognormal(2.0, 0.5)], ids=repr
)
def test_the_mean_of_a_distribution_is_what_it_says(made: Distribution) -> None:
    """Within five standard errors, of 20,000 draws."""
    random = np.random.default_rng(0)
    drawn = np.array([made.draw(random) for _ in range(20_000)])
    assert (drawn >= 0).all()
    assert abs(drawn.mean() - made.mean) <= 5 * drawn.std() / len(drawn) ** 0.5


def test_failures_come_one_after_the_other_for_each_target() -> None:
    drawn = failures("kill worker", 3, exponential(5.0), constant(2.0), 100.0, seed=1)
    assert drawn == failures("kill worker", 3, exponential(5.0), constant(2.0), 100.0, seed=1)
    assert {fault.target for fault in drawn} == {0, 1, 2}
    for target in range(3):
        times = [fault.at for fault in drawn if fault.target == target]
        assert all(after - before > 2.0 for before, after in pairwise(times))
        assert times[-1] < 100.0


# The map.


def test_the_map_has_a_cell_for_every_condition_and_names_the_best() -> None:
    ravine = problems.load("ravine")
    algorithms = {"slow": Downpour("sgd", lr=0.001), "fast": Downpour("sgd", lr=0.01)}
    cells = list(simulate(ravine, algorithms, (1, 4), (0.0, 5.0), epochs=60, seeds=2))
    assert [(c.algorithm, c.workers, c.delay) for c in cells] == [
        (name, workers, delay) for name in algorithms for workers in (1, 4) for delay in (0.0, 5.0)
    ]
    assert all(len(cell.losses) == 2 for cell in cells)
    late = {(c.workers, c.delay): c.staleness for c in cells}
    assert late[1, 0.0] == 0
    assert late[4, 0.0] > 2
    assert {cell.algorithm for cell in best(cells).values()} == {"fast"}


def test_what_diverges_is_infinitely_bad() -> None:
    (cell,) = simulate("ravine", {"wild": Downpour("sgd", lr=1e30)}, (1,), (0.0,), epochs=20)
    assert cell.loss == float("inf")
