"""Without delay every algorithm is the one that it is the parallel form of.

Bits are compared where the arithmetic is the same. Where it is not, each rounding is counted.
"""

from typing import Any

import numpy as np
import pytest
import torch
from small import (
    UNIT,
    Point,
    apart_by_rounding,
    bowl,
    cross_entropy,
    data,
    elastic_path,
    fitted,
    job,
    line,
    linear_data,
    logged,
    network,
    squares,
)
from torch import Tensor

from thalweg import Optimizer, rule
from thalweg.algebra import sqrt
from thalweg.kernels.plan import lower
from thalweg.parallel import (
    Algorithm,
    Downpour,
    Elastic,
    InProcess,
    LocalUpdates,
    Synchronous,
    diloco,
)
from thalweg.parallel.flat import vector_of
from thalweg.parallel.replica import Batches
from thalweg.rules import Rule, catalogue, chain, clip_by_global_norm, find
from thalweg.training import fit
from thalweg.training.data.forms import Rows

RULES = [*catalogue.values(), chain(clip_by_global_norm, find("adamw"), defaults={"max_norm": 0.1})]


def alone(a_rule: Rule, **hyper: Any) -> Tensor:
    """The parameters that `fit` trains with an optimizer, as a vector."""
    model = network()
    optimizer = Optimizer(model.parameters(), a_rule, **hyper)
    fit(model, optimizer, cross_entropy, data(), batch=8, epochs=3, seed=5)
    return vector_of(model)


@pytest.mark.parametrize("a_rule", RULES, ids=lambda each: each.key)
def test_downpour_with_one_worker_is_the_local_rule(a_rule: Rule) -> None:
    shards = 1 if lower(a_rule).reads_every_row else 3
    found = fitted(Downpour(a_rule), shards=shards)
    assert torch.equal(vector_of(found.model), alone(a_rule))


@pytest.mark.parametrize("a_rule", RULES, ids=lambda each: each.key)
def test_a_synchronous_worker_alone_is_the_local_rule(a_rule: Rule) -> None:
    assert torch.equal(vector_of(fitted(Synchronous(a_rule)).model), alone(a_rule))


def test_an_overlapping_fetch_without_delay_is_a_fetch() -> None:
    overlapping = fitted(Downpour("adam", overlap=True))
    assert torch.equal(vector_of(overlapping.model), alone(find("adam")))


@rule("Adagrad, alpha over the root first")
def adagrad_from_one(g, sum=1, *, lr=1e-2):
    z = sum + g * g
    return lr / sqrt(z) * g, z


@pytest.mark.parametrize("shards", [1, 4])
def test_adaptive_revision_without_delay_is_adagrad_from_one(shards: int) -> None:
    found = fitted(Downpour("adaptive_revision", lr=0.3), shards=shards, epochs=20)
    parent = fitted(Downpour(adagrad_from_one, lr=0.3), epochs=20)
    assert torch.equal(vector_of(found.model), vector_of(parent.model))


def test_workers_whose_gradients_never_wait_are_one_worker() -> None:
    """One begins when the other is done: the second reads what the first has pushed last."""
    turns = InProcess(compute=1.0)
    together = fitted(Downpour("adagrad", lr=0.3, divide=False, warm_start=10**6), 3, engine=turns)
    assert torch.equal(vector_of(together.model), alone(find("adagrad"), lr=0.3))


def test_without_springs_elastic_workers_are_independent_descents() -> None:
    model = network()
    start, workers = vector_of(model), 3
    batches = Batches(Rows(*data()), 8, 0)
    made = job(model, cross_entropy, Elastic(lr=0.1, alpha=0.0, period=1), 24, batches,
               workers=workers)  # fmt: skip
    centre, asked = logged(made)
    assert torch.equal(centre, start)
    for rank in range(workers):
        own = [(number, at) for number, at in asked if number % workers == rank]
        single = network()
        optimizer = Optimizer(single.parameters(), "sgd", lr=0.1)
        for number, at in own:
            assert torch.equal(at, vector_of(single))
            inputs, targets = batches.take(number)
            optimizer.zero_grad()
            cross_entropy(single(inputs), targets).backward()
            optimizer.step()
        assert len(own) == 8


# Against the equations in float64; the bowl contracts, so that roundings do not grow.


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("workers", [1, 3])
def test_elastic_averaging_is_its_equations(workers: int, momentum: float, sync: bool) -> None:
    rounds, lr, alpha, found = 30, 0.2, 0.15, []
    algorithm = Elastic(lr, momentum, period=1, alpha=alpha, synchronous=sync)
    logged(job(Point(1.0), bowl, algorithm, workers * rounds, workers=workers, every=workers,
               watch=lambda progress: found.append(float(progress.values()))))  # fmt: skip
    expected = elastic_path(workers, rounds, lr, alpha, momentum, sync)
    roundings = 10 * workers * rounds
    np.testing.assert_allclose(found, expected, rtol=0, atol=roundings * UNIT)


def test_local_updates_average_what_workers_reach_alone() -> None:
    """Workers at different batches: after one period the server holds the mean of them."""
    period, workers, lr = 4, 3, 0.5
    model = network(torch.float64)
    inputs, targets = data()
    batches = Batches(Rows(inputs.double(), targets), 8, 0)
    made = job(model, cross_entropy, LocalUpdates(lr=lr, period=period), period * workers,
               batches, workers=workers)  # fmt: skip
    start = made.start.clone()
    mean, asked = logged(made)
    ends = []
    for rank in range(workers):
        last, at = [each for each in asked if each[0] % workers == rank][-1]
        ends.append(at - lr * made.replica.measure(at, last).gradient)
    expected = torch.stack(ends).mean(0)
    largest = float(max(start.abs().max(), expected.abs().max()))
    assert (mean - expected).abs().max() <= 10 * (workers + 2) * UNIT * largest


def test_diloco_with_one_worker_steps_along_nesterov() -> None:
    """Its outer gradient is the way back from where AdamW came in a period."""
    period, rounds = 3, 4
    model = network(torch.float64)
    inputs, targets = data()
    batches = Batches(Rows(inputs.double(), targets), 8, 0)
    end, _ = logged(job(model, cross_entropy, diloco(0.01, period), period * rounds, batches))
    outer, inner = (network(torch.float64) for _ in range(2))
    outer_step = Optimizer(outer.parameters(), "nesterov", lr=0.7, momentum=0.9)
    inner_step = Optimizer(inner.parameters(), "adamw", lr=0.01)
    for number in range(period * rounds):
        x, y = batches.take(number)
        inner_step.zero_grad()
        cross_entropy(inner(x), y).backward()
        inner_step.step()
        if (number + 1) % period == 0:
            pairs = list(zip(outer.parameters(), inner.parameters(), strict=True))
            for p, q in pairs:
                p.grad = (p - q).detach()
            outer_step.step()
            inner.load_state_dict(outer.state_dict())
    assert torch.equal(end, vector_of(outer))


# Many small batches are one large one.


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_synchronous_workers_are_one_with_a_large_batch(workers: int) -> None:
    """The path of both stays within twice the roundings that each of them may commit."""
    examples, features, small, lr = 64, 6, 4, 0.1
    x, y = linear_data(examples, features)
    paths = []
    for count, batch in ((workers, small), (1, small * workers)):
        made = job(line(), squares, Synchronous("sgd", lr=lr), examples // batch * 5,
                   Batches(Rows(x, y), batch, 2), workers=count)  # fmt: skip
        end, asked = logged(made)
        paths.append([at for number, at in asked if number % count == 0] + [end])
    path, other = (torch.stack(each) for each in paths)
    apart = apart_by_rounding(path, Batches(Rows(x, y), small * workers, 2), lr, workers)
    assert ((path - other).abs() <= apart).all()
    assert apart.max() < 1e-9


def test_a_smaller_batch_counts_as_much_as_its_examples() -> None:
    """Of three examples in batches of two, each weighs a third in the mean of a round."""
    x, y = linear_data(3, 6)
    end, _ = logged(job(line(), squares, Synchronous("sgd", lr=1.0), 2,
                        Batches(Rows(x, y), 2, 0), workers=2))  # fmt: skip
    whole = (x * -y[:, None]).mean(0)
    torch.testing.assert_close(end, -whole, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    "algorithm",
    [Downpour("adam", n_push=3, n_fetch=2), Elastic(period=3), LocalUpdates(period=4), diloco()],
    ids=lambda each: type(each).__name__,
)
def test_the_number_of_shards_changes_no_bit(algorithm: Algorithm) -> None:
    ends = [vector_of(fitted(algorithm, 4, shards=shards).model) for shards in (1, 2, 5)]
    assert ends[0].equal(ends[1])
    assert ends[0].equal(ends[2])
