"""Every lane does what its training does alone, and no lane disturbs another."""

import math
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
from thalweg.racing import race
from thalweg.racing.lanes import Lane, lanes_at_once, train_together
from thalweg.racing.stack import Stack
from thalweg.rules import add_noise, catalogue, chain, clip_by_global_norm, find
from thalweg.training import fit

RULES = [*catalogue.values(), chain(clip_by_global_norm, add_noise, find("adam"))]
CHAINED = {"max_norm": 0.5, "noise_eta": 0.01, "noise_gamma": 0.55, "seed": 3.0}


def lane(rule, lr: float, seed: int = 0) -> Lane:
    own: dict[str, Any] = {
        name: value for name, value in CHAINED.items() if name in rule.hyperparameters
    }
    return Lane(rule, rule.settings(lr=lr, **own), seed)


def settings(lane: Lane) -> dict[str, Any]:
    return dict(lane.hyper)


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
    losses, gradients = stack.gradients(inputs, targets)
    for k, model in enumerate(models):
        loss = digits.loss(model(inputs[k]), targets[k])
        loss.backward()
        assert losses[k] == pytest.approx(loss.item(), rel=1e-6)
        for name, p in model.named_parameters():
            assert torch.allclose(gradients[name][k], p.grad, rtol=1e-5, atol=1e-7)


def test_a_lane_learns_as_its_training_alone_would(digits) -> None:
    lanes = [lane(find("sgd"), 0.1), lane(find("adam"), 1e-3), lane(find("adam"), 1e-3, seed=5)]
    *_, last = train_together(digits, lanes, epochs=3, batch=32)
    for each, epoch in zip(lanes, last, strict=True):
        model = digits.make_model(each.seed)
        optimizer = Optimizer(model.parameters(), each.rule, **settings(each))
        alone = fit(
            model, optimizer, digits.loss, digits.train, digits.validation, batch=32, epochs=3,
            seed=each.seed,
        ).history[-1]  # fmt: skip
        assert epoch.train_loss == pytest.approx(alone.running_loss, rel=1e-3)
        assert epoch.validation_loss == pytest.approx(alone.valid_loss, rel=1e-3)


def test_a_lane_that_diverges_disturbs_no_other(digits) -> None:
    calm = [lane(find("sgd"), 0.1), lane(find("sgd"), 0.05)]
    wild = [calm[0], lane(find("sgd"), 1e30), calm[1]]
    *_, without = train_together(digits, calm, epochs=2, batch=32)
    *_, beside = train_together(digits, wild, epochs=2, batch=32)
    assert math.isinf(beside[1].validation_loss)
    assert beside[0].validation_loss == pytest.approx(without[0].validation_loss, rel=1e-5)
    assert beside[2].validation_loss == pytest.approx(without[1].validation_loss, rel=1e-5)


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


@pytest.mark.parametrize(
    "model", [Branching, Recurrent, lambda: nn.Sequential(nn.Linear(4, 2), nn.Dropout())]
)
def test_what_cannot_be_stacked_is_refused_with_the_reason(model) -> None:
    train, valid = (Split(torch.randn(12, 4), torch.arange(12) % 2) for _ in range(2))
    problem = Problem(
        "odd", "", lambda seed: model(), train, valid, None, nn.functional.cross_entropy, 4, 1, {}
    )
    with pytest.raises(BadValue, match="odd cannot be stacked: "):
        lanes_at_once(problem, [lane(find("sgd"), 0.1)] * 8, batch=4)
    rates = [run.loss for run in race(problem, ["sgd"], trials=4).runs]
    assert all(map(math.isfinite, rates))


def test_stacks_are_as_large_as_the_models_are_small(digits) -> None:
    def perceptron(width: int) -> Problem:
        return replace(digits, make_model=lambda seed: nn.Sequential(nn.Linear(64, width)))

    lanes = [lane(find("sgd"), 0.1)] * 200
    assert lanes_at_once(perceptron(10), lanes, batch=8) == 96
    assert lanes_at_once(perceptron(10), lanes[:7], batch=8) == 7
    assert lanes_at_once(perceptron(10), lanes[:3], batch=8) == 1
    assert 4 <= lanes_at_once(perceptron(2000), lanes, batch=8) < 20
    assert lanes_at_once(perceptron(20_000), lanes, batch=8) == 1


def test_a_race_side_by_side_tells_what_it_tells_one_by_one(digits, monkeypatch) -> None:
    def raced() -> list[tuple[str, float, float]]:
        found = race(digits, ["sgd", "adam"], trials=3, epochs=2).runs
        return [(run.rule, run.lr, run.loss) for run in found]

    together = raced()
    monkeypatch.setattr("thalweg.racing.lanes.FEWEST", 100)
    for (*one, loss), (*other, alone) in zip(together, raced(), strict=True):
        assert one == other
        assert loss == pytest.approx(alone, rel=1e-3)


def test_batch_norm_keeps_the_statistics_of_each_member() -> None:
    def made(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))

    inputs, targets = torch.randn(2, 8, 4), torch.randint(0, 2, (2, 8))
    stack = Stack([made(0), made(1)], nn.functional.cross_entropy)
    stack.gradients(inputs, targets)
    stack.gradients(inputs, targets)
    outputs = stack.outputs(inputs[0])
    for k in range(2):
        model = made(k)
        model(inputs[k])
        model(inputs[k])
        mean = model.get_buffer("1.running_mean")
        assert torch.allclose(stack.buffers["1.running_mean"][k], mean, rtol=1e-5, atol=1e-7)
        assert torch.allclose(outputs[k], model.eval()(inputs[0]), rtol=1e-4, atol=1e-6)
