"""Every lane does what its training does alone, and no lane disturbs another."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from thalweg import problems
from thalweg.errors import BadValue
from thalweg.kernels.lanes import Lanes
from thalweg.optim import Optimizer
from thalweg.problems import Problem, Split
from thalweg.problems.seeded import seeded
from thalweg.racing import Epoch, race
from thalweg.racing.lanes import Lane, SideBySide
from thalweg.racing.sizing import lanes_at_once
from thalweg.racing.stack import Stack
from thalweg.rules import add_noise, catalogue, chain, clip_by_global_norm, find
from thalweg.schedules import constant, cosine, exponential, warmup
from thalweg.training import Epoch as Fitted
from thalweg.training import evaluate, fit

RULES = [*catalogue.values(), chain(clip_by_global_norm, add_noise, find("adam"))]
CHAINED = {"max_norm": 0.5, "noise_eta": 0.01, "noise_gamma": 0.55, "seed": 3.0}


def lane(rule, lr: float, seed: int = 0) -> Lane:
    own: dict[str, Any] = {
        name: value for name, value in CHAINED.items() if name in rule.hyperparameters
    }
    return Lane(rule, rule.settings(lr=lr, **own), seed)


def settings(lane: Lane) -> dict[str, Any]:
    return dict(lane.hyper)


def alone(problem: Problem, lane: Lane, batch: int, epochs: int) -> tuple[Fitted, ...]:
    """Train a lane as `fit` does, and return its history."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lane.seed)
        model = problem.make_model(lane.seed)
        optimizer = Optimizer(model.parameters(), lane.rule, **settings(lane))
        return fit(
            model, optimizer, problem.loss, problem.train, problem.validation, batch=batch,
            epochs=epochs, seed=lane.seed, watch=0,
        ).history  # fmt: skip


def assert_equal(epoch: Epoch | None, alone: Fitted, rel: float) -> None:
    assert epoch is not None
    assert epoch.train_loss == pytest.approx(alone.running_loss, rel=rel)
    assert epoch.validation_loss == pytest.approx(alone.valid_loss, rel=rel)
    if alone.valid_accuracy is None:
        assert math.isnan(epoch.validation_accuracy)
    else:
        assert epoch.validation_accuracy == pytest.approx(alone.valid_accuracy, abs=0.02)


@pytest.fixture(scope="module")
def digits() -> Problem:
    return problems.load("digits")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.key)
def test_the_update_of_a_lane_is_that_of_an_optimizer_of_its_own_to_the_last_bit(rule) -> None:
    torch.manual_seed(0)
    stacked = [torch.randn(3, 5, 4), torch.randn(3, 5)]
    alone = [[each[k].clone().requires_grad_() for each in stacked] for k in range(3)]
    lanes = [lane(rule, lr) for lr in (1e-3, 1e-2, 3e-2)]
    together = Lanes(rule, stacked, [each.hyper for each in lanes])
    optimizers = [
        Optimizer(params, rule, **settings(each)) for params, each in zip(alone, lanes, strict=True)
    ]
    for _ in range(4):
        gradients = [torch.randn_like(each) for each in stacked]
        together.step(gradients)
        for k, optimizer in enumerate(optimizers):
            for p, g in zip(alone[k], gradients, strict=True):
                p.grad = g[k].clone()
            optimizer.step()
    for k, place in product(range(3), range(2)):
        assert torch.equal(stacked[place][k], alone[k][place])


def test_losses_and_gradients_are_those_of_each_member(digits) -> None:
    models = [digits.make_model(seed) for seed in range(4)]
    stack = Stack(models, digits.loss)
    chosen = torch.randint(0, 1000, (4, 32), generator=torch.Generator().manual_seed(0))
    inputs, targets = digits.train.inputs[chosen], digits.train.targets[chosen]
    losses, gradients = stack.gradients(inputs, targets, ())
    for k, model in enumerate(models):
        loss = digits.loss(model(inputs[k]), targets[k])
        loss.backward()
        assert losses[k] == pytest.approx(loss.item(), rel=1e-6)
        for name, p in model.named_parameters():
            found = gradients[name]
            assert found is not None
            assert torch.allclose(found[k], p.grad, rtol=1e-5, atol=1e-7)


def test_a_lane_learns_as_its_training_alone_would(digits) -> None:
    lanes = [lane(find("sgd"), 0.1), lane(find("adam"), 1e-3), lane(find("adam"), 1e-3, seed=5)]
    *_, last = SideBySide(digits, lanes, 32).train(3)
    for each, epoch in zip(lanes, last, strict=True):
        assert_equal(epoch, alone(digits, each, batch=32, epochs=3)[-1], rel=1e-3)


def test_a_lane_that_diverges_disturbs_no_other(digits) -> None:
    calm = [lane(find("sgd"), 0.1), lane(find("sgd"), 0.05)]
    wild = [calm[0], lane(find("sgd"), 1e30), calm[1]]
    *_, without = SideBySide(digits, calm, 32).train(3)
    first, second, third = SideBySide(digits, wild, 32).train(3)
    assert first[1] is not None
    assert math.isinf(first[1].train_loss)
    assert second[1] is third[1] is None
    for one, other in zip((third[0], third[2]), without, strict=True):
        assert_alike(one, other)


def assert_alike(one: Epoch | None, other: Epoch | None) -> None:
    """Two lanes are one but for the order in which products are summed up."""
    assert one is not None
    assert other is not None
    assert one.train_loss == pytest.approx(other.train_loss, rel=1e-5)
    assert one.validation_loss == pytest.approx(other.validation_loss, rel=1e-5)
    assert one.validation_accuracy == other.validation_accuracy


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found = self.layer(inputs)
        return found if found.sum() > 0 else -found


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(1, 2, batch_first=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.cell(inputs.unsqueeze(-1))[0][:, -1]


@pytest.mark.parametrize("model", [Branching, Recurrent])
def test_what_cannot_be_stacked_is_refused_with_the_reason(model) -> None:
    train, valid = (Split(torch.randn(12, 4), torch.arange(12) % 2) for _ in range(2))
    problem = Problem(
        "odd", "", seeded(model), train, valid, None, nn.functional.cross_entropy, 4, 1, {}
    )
    with pytest.raises(BadValue, match="odd cannot be stacked: "):
        lanes_at_once(problem, [lane(find("sgd"), 0.1)] * 8, batch=4)
    rates = [run.loss for run in race(problem, ["sgd"], trials=4).runs]
    assert all(map(math.isfinite, rates))


def test_stacks_are_as_large_as_the_models_are_small(digits) -> None:
    def perceptron(width: int) -> Problem:
        return replace(digits, make_model=lambda seed: nn.Sequential(nn.Linear(64, width)))

    lanes = [lane(find("sgd"), 0.1)] * 200
    small, large = perceptron(10), perceptron(2000)
    assert lanes_at_once(small, lanes, batch=8) == 100
    assert lanes_at_once(small, lanes[:192], batch=8) == 192
    assert lanes_at_once(small, lanes[:7], batch=8) == 7
    assert lanes_at_once(small, lanes[:3], batch=8) == 1
    assert 20 < lanes_at_once(large, lanes, batch=8, memory=2**26) < 80
    assert 4 <= lanes_at_once(large, lanes, batch=8, memory=2**23) < 10
    assert lanes_at_once(perceptron(20_000), lanes, batch=8) == 1


@pytest.mark.parametrize(("channels", "at_once"), [(2, 8), (16, 1)])
def test_large_convolutions_are_trained_one_by_one(digits, channels: int, at_once: int) -> None:
    def build(seed: int) -> nn.Module:
        layers = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, channels, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(128 * channels, 10))

    problem = replace(digits, make_model=seeded_by(build))
    lanes = [lane(find("adam"), 0.1, seed) for seed in range(8)]
    assert lanes_at_once(problem, lanes, batch=64) == at_once


def test_a_race_side_by_side_tells_what_it_tells_one_by_one(digits, monkeypatch) -> None:
    def raced() -> dict[tuple, list[float]]:
        found = race(digits, ["sgd", "adam"], trials=3, seeds=2, epochs=2, target=0.3).runs
        return {run.task.key: [run.loss, run.test_loss or 0.0] for run in found}

    together = raced()
    monkeypatch.setattr("thalweg.racing.sizing.FEWEST", 2000)
    alone = raced()
    assert together.keys() == alone.keys()
    for key, losses in together.items():
        assert losses == pytest.approx(alone[key], rel=1e-3)


def test_batch_norm_keeps_the_statistics_of_each_member() -> None:
    def made(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))

    inputs, targets = torch.randn(2, 8, 4), torch.randint(0, 2, (2, 8))
    stack = Stack([made(0), made(1)], nn.functional.cross_entropy)
    stack.gradients(inputs, targets, ())
    stack.gradients(inputs, targets, ())
    losses, right = stack.judged(inputs[0], targets[0])
    assert right is not None
    for k in range(2):
        model = made(k)
        model(inputs[k])
        model(inputs[k])
        mean = model.get_buffer("1.running_mean")
        assert torch.allclose(stack.held["1.running_mean"][k], mean, rtol=1e-5, atol=1e-7)
        outputs = model.eval()(inputs[0])
        loss = nn.functional.cross_entropy(outputs, targets[0])
        assert losses[k] == pytest.approx(loss.item(), rel=1e-5)
        assert right[k] == (outputs.argmax(1) == targets[0]).sum()


MOVING: list[dict[str, Any]] = [
    {"lr": cosine(0.1, steps=99)},
    {"lr": cosine(0.03, steps=99)},
    {"lr": 0.1},
    {"lr": exponential(0.1, factor=0.99).after(warmup(20)), "momentum": constant(0.8)},
]


@pytest.mark.parametrize("rule", [find("momentum"), find("adam")], ids=lambda rule: rule.key)
def test_a_lane_uses_at_every_update_what_an_optimizer_with_its_schedule_would(rule) -> None:
    torch.manual_seed(0)
    stacked = torch.randn(4, 6)
    own = [each.clone().requires_grad_() for each in stacked]
    given = [{k: v for k, v in each.items() if k in rule.hyperparameters} for each in MOVING]
    hypers = [{**rule.settings(), **each} for each in given]
    together = Lanes(rule, [stacked], hypers)
    optimizers = [Optimizer([p], rule, **each) for p, each in zip(own, hypers, strict=True)]
    for _ in range(130):
        gradient = torch.randn(4, 6)
        together.step([gradient])
        for p, g, optimizer in zip(own, gradient, optimizers, strict=True):
            p.grad = g.clone()
            optimizer.step()
        assert torch.equal(stacked, torch.stack([p.detach() for p in own]))


def test_lanes_that_stay_go_on_as_if_the_others_had_never_been() -> None:
    torch.manual_seed(0)
    rule, first = find("adam"), torch.randn(4, 6)
    hypers = [{**rule.settings(), "lr": cosine(lr, steps=9)} for lr in (0.1, 0.2, 0.3, 0.4)]
    whole, part = first.clone(), first.clone()
    steady, thinned = Lanes(rule, [whole], hypers), Lanes(rule, [part], hypers)
    for update in range(6):
        if update == 3:
            part = part[[1, 3]]
            thinned.keep([1, 3], [part])
        gradient = torch.randn(4, 6)
        steady.step([gradient])
        thinned.step([gradient[[1, 3]] if update >= 3 else gradient])
    assert torch.equal(part, whole[[1, 3]])


def test_stacking_anew_without_retired_lanes_leaves_the_others_where_they_were(
    digits, monkeypatch
) -> None:
    lanes = [lane(find("adam"), 0.01, 1), lane(find("sgd"), 1e30), lane(find("adam"), 0.02, 2)]
    monkeypatch.setattr("thalweg.racing.lanes.RESTACKING", 0)
    thinned = SideBySide(digits, lanes, 32)
    *_, restacked = thinned.train(3)
    monkeypatch.setattr("thalweg.racing.lanes.RESTACKING", math.inf)
    whole = SideBySide(digits, lanes, 32)
    *_, left = whole.train(3)
    assert [each._stack.members for each in (thinned, whole)] == [2, 3]
    assert restacked[1] is left[1] is None
    for place in (0, 2):
        assert_alike(restacked[place], left[place])


def seeded_by(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    def make_model(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return build(seed)

    return make_model


def dropping(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(64, 32), nn.Dropout(), nn.ReLU(), nn.Linear(32, 10), nn.AlphaDropout(0.1)
    )


def test_a_lane_drops_out_what_its_training_alone_drops(digits) -> None:
    problem = replace(digits, make_model=seeded_by(dropping))
    lanes = [lane(find("sgd"), lr, seed) for lr, seed in ((0.05, 0), (1e30, 3), (0.05, 4))]
    *_, last = SideBySide(problem, lanes, 32).train(2)
    for place in (0, 2):
        expected = alone(problem, lanes[place], batch=32, epochs=2)[-1]
        assert_equal(last[place], expected, rel=1e-4)


def test_a_rule_that_is_slow_costs_its_own_lanes_alone(digits, monkeypatch) -> None:
    """On a clock that only updates of Adam move, a second each."""
    now, step = [0.0], Lanes.step

    def slow(self: Lanes, *args: Any) -> None:
        now[0] += self.rule.key == "adam"
        step(self, *args)

    monkeypatch.setattr(Lanes, "step", slow)
    monkeypatch.setattr("thalweg.racing.shares.time.perf_counter", lambda: now[0])
    together = SideBySide(digits, [lane(find(name), 0.01) for name in ("sgd", "adam", "adam")], 200)
    list(together.train(2))
    assert together.seconds == [0, 6, 6]


def test_what_is_done_for_all_is_shared_by_those_that_stand(digits, monkeypatch) -> None:
    """On a clock that only passes over data move, a second each."""
    now, gradients = [0.0], Stack.gradients

    def slow(self: Stack, *args: Any) -> Any:
        now[0] += 1
        return gradients(self, *args)

    monkeypatch.setattr(Stack, "gradients", slow)
    monkeypatch.setattr("thalweg.racing.shares.time.perf_counter", lambda: now[0])
    lanes = [lane(find("sgd"), lr) for lr in (0.1, 1e30, 0.2)]
    together = SideBySide(digits, lanes, 200)
    list(together.train(2))
    assert together.seconds == pytest.approx([2 + 3, 2, 2 + 3])


def test_lanes_are_judged_on_other_examples_at_the_end(digits) -> None:
    lanes = [lane(find("sgd"), 0.1), lane(find("sgd"), 1e30)]
    together = SideBySide(digits, lanes, 32)
    list(together.train(2))
    found, retired = together.judged(digits.test)
    assert retired is None
    model = digits.make_model(0)
    fit(model, Optimizer(model.parameters(), "sgd", lr=0.1), digits.loss, digits.train, epochs=2)
    alone = evaluate(model, digits.loss, digits.test)
    assert found is not None
    assert found.loss == pytest.approx(alone.loss, rel=1e-3)
    assert found.accuracy == pytest.approx(alone.accuracy, abs=0.01)
