"""Training grows just above the reported rate and settles just below it, whatever the rule."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import thalweg
from thalweg import optim
from thalweg.landscape import (
    Hessian,
    extremes,
    function,
    objective,
    preconditioned,
    stable_limit,
    stable_rate,
)
from thalweg.problems.surfaces import quadratic
from thalweg.rules import adam, chain
from thalweg.rules.transforms import clip_by_global_norm

Make = Callable[..., torch.optim.Optimizer]


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()


INPUTS = torch.randn(60, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = (INPUTS @ torch.arange(15.0, dtype=torch.float64).reshape(5, 3).sin()).argmax(1)


def trained(make: Make, steps: int = 12) -> tuple[torch.optim.Optimizer, Hessian]:
    model = net()
    optimizer = make(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(INPUTS), LABELS).backward()
        optimizer.step()
    return optimizer, Hessian(objective(model, cross_entropy, (INPUTS, LABELS)))


FORMULAS: dict[str, tuple[Make, float]] = {
    "SGD": (lambda p: torch.optim.SGD(p, lr=0.1), 2.0),
    "momentum": (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 3.8),
    "Nesterov": (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True), 3.8 / 2.8),
    "EMA": (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.9), 38.0),
    "our SGD": (lambda p: optim.SGD(p, lr=0.1, momentum=0.5), 3.0),
    "our momentum": (lambda p: thalweg.Optimizer(p, "momentum", lr=0.1, momentum=0.9), 3.8),
    "lr inside": (lambda p: thalweg.Optimizer(p, "momentum_paper", lr=0.1, momentum=0.9), 3.8),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_limit_read_off_a_rule_is_the_one_in_the_literature(name):
    make, edge = FORMULAS[name]
    optimizer, hessian = trained(make)
    top = float(torch.linalg.eigvalsh(hessian.dense())[-1])
    found = stable_rate(hessian, optimizer)
    assert found.low <= edge / top * (1 + 1e-9)
    assert found.high >= edge / top * (1 - 1e-9)
    assert found.high - found.low <= 0.01 * found.low
    assert found.current == optimizer.param_groups[0]["lr"]


def test_the_limits_by_hand_are_those_of_the_literature():
    assert stable_limit(4.0) == 0.5
    assert stable_limit(1.0, momentum=0.9) == pytest.approx(3.8)
    assert stable_limit(1.0, momentum=0.9, nesterov=True) == pytest.approx(3.8 / 2.8)
    assert stable_limit(1.0, momentum=0.9, dampening=0.9) == pytest.approx(38)
    assert stable_limit(-1.0) == float("inf")


def squares(state: dict[str, Tensor], group: dict[str, Any]) -> Tensor:
    beta1, beta2 = group["betas"]
    corrected = (state["exp_avg_sq"] / (1 - beta2 ** float(state["step"]))).sqrt()
    return (corrected + group["eps"]) * (1 - beta1 ** float(state["step"]))


DIVISORS: dict[str, tuple[Make, Callable[[Any, Any], Tensor], float]] = {
    "Adam": (torch.optim.Adam, squares, 38),
    "AdamW": (lambda p: torch.optim.AdamW(p, weight_decay=0.0), squares, 38),
    "our Adam": (optim.Adam, squares, 38),
    "Adamax": (torch.optim.Adamax,
               lambda s, g: s["exp_inf"] * (1 - g["betas"][0] ** float(s["step"])), 38),
    "RMSprop": (torch.optim.RMSprop, lambda s, g: s["square_avg"].sqrt() + g["eps"], 2),
    "centered": (lambda p: torch.optim.RMSprop(p, centered=True),
                 lambda s, g: (s["square_avg"] - s["grad_avg"] ** 2).sqrt() + g["eps"], 2),
    "Adagrad": (torch.optim.Adagrad, lambda s, g: s["sum"].sqrt() + g["eps"], 2),
    "Adadelta": (torch.optim.Adadelta, lambda s, g: (s["square_avg"] + g["eps"]).sqrt()
                 / (s["acc_delta"] + g["eps"]).sqrt(), 2),
}  # fmt: skip


@pytest.mark.parametrize("name", DIVISORS)
def test_the_preconditioner_is_the_running_optimizers_own(name):
    make, divisor, edge = DIVISORS[name]
    optimizer, hessian = trained(make)
    (group,) = optimizer.param_groups
    p = torch.cat([divisor(optimizer.state[each], group).flatten() for each in group["params"]])
    expected = hessian.dense() / (p[:, None] * p[None, :]).sqrt()
    scaled = preconditioned(hessian, optimizer)
    torch.testing.assert_close(scaled.dense(), expected, rtol=1e-9, atol=1e-9)
    top = float(torch.linalg.eigvalsh(expected)[-1])
    found = stable_rate(hessian, optimizer)
    assert found.low <= edge / top * (1 + 1e-6)
    assert found.high >= edge / top * (1 - 1e-6)


def test_a_rule_by_name_has_the_preconditioner_of_torchs_class():
    """Clipping is no part of it: near a critical point it does nothing."""
    rule = chain(clip_by_global_norm, adam)
    ours, hessian = trained(lambda p: thalweg.Optimizer(p, rule, lr=1e-3, max_norm=1e9))
    theirs, _ = trained(torch.optim.Adam)
    for p, q in zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True):
        torch.testing.assert_close(ours.state[p]["exp_avg_sq"], theirs.state[q]["exp_avg_sq"])
    found = extremes(preconditioned(hessian, ours)).largest[0].value
    other = Hessian(objective_like(theirs))
    assert found == pytest.approx(extremes(preconditioned(other, theirs)).largest[0].value)


def objective_like(optimizer: torch.optim.Optimizer) -> Any:
    model = net()
    for p, q in zip(list(model.parameters()), optimizer.param_groups[0]["params"], strict=True):
        module, name = _owner(model, p)
        setattr(module, name, q)
    return objective(model, cross_entropy, (INPUTS, LABELS))


def _owner(model: nn.Module, parameter: Tensor) -> tuple[nn.Module, str]:
    return next(
        (module, name)
        for module in model.modules()
        for name, p in module.named_parameters(recurse=False)
        if p is parameter
    )


MAKERS: dict[str, Make] = {
    "SGD": lambda p, lr: torch.optim.SGD(p, lr=lr),
    "SGD with decay": lambda p, lr: torch.optim.SGD(p, lr=lr, weight_decay=0.5),
    "momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "momentum with decay": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, weight_decay=2.0),
    "Nesterov": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True),
    "EMA": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, dampening=0.9),
    "decoupled decay": lambda p, lr: optim.SGDW(p, lr=lr, momentum=0.9, weight_decay=2.0),
    "Keras's Nesterov": lambda p, lr: thalweg.Optimizer(p, "nesterov_keras", lr=lr, momentum=0.8),
}


@pytest.mark.parametrize("spectrum", [(1.0, 4.0, 10.0), (3.0, 3.0), (0.5, 80.0)])
@pytest.mark.parametrize("name", MAKERS)
def test_quadratics_diverge_just_above_the_reported_rate_and_converge_just_below(name, spectrum):
    surface = quadratic(spectrum)
    point = nn.Parameter(torch.tensor(surface.start, dtype=torch.float64))
    optimizer = MAKERS[name]([point], 0.01)
    found = stable_rate(Hessian(function(surface, point)), optimizer)
    assert reached(name, surface, 0.99 * found.low) < 1e-2 * len(spectrum)
    assert reached(name, surface, 1.01 * found.high) > 1e2


def reached(name: str, surface: Any, rate: float) -> float:
    """Return how far from the minimum 1,000 steps at a rate end."""
    point = nn.Parameter(torch.tensor(surface.start, dtype=torch.float64))
    optimizer = MAKERS[name]([point], rate)
    for _ in range(1000):
        optimizer.zero_grad()
        surface(point).backward()
        optimizer.step()
    return float(point.detach().norm())


def test_adam_with_settled_moments_grows_above_its_rate_and_shrinks_below():
    surface = quadratic((1.0, 5.0, 30.0), start=(1e-3, 1e-3, 1e-3))
    moments = torch.tensor([1.0, 0.1, 4.0], dtype=torch.float64)

    def started(rate: float) -> tuple[nn.Parameter, torch.optim.Optimizer]:
        point = nn.Parameter(torch.tensor(surface.start, dtype=torch.float64))
        optimizer = torch.optim.Adam([point], lr=rate, betas=(0.9, 1 - 1e-9))
        optimizer.state[point] = {
            "step": torch.tensor(1e9), "exp_avg": torch.zeros(3, dtype=torch.float64),
            "exp_avg_sq": moments.clone(),
        }  # fmt: skip
        return point, optimizer

    def grown(rate: float, steps: int) -> float:
        point, optimizer = started(rate)
        for _ in range(steps):
            optimizer.zero_grad()
            surface(point).backward()
            optimizer.step()
        return float(point.detach().norm()) / 1e-3

    point, optimizer = started(0.01)
    found = stable_rate(Hessian(function(surface, point)), optimizer)
    assert grown(0.95 * found.low, steps=80) < 0.1
    assert grown(1.05 * found.high, steps=25) > 100


@cache
def settled() -> tuple[nn.Module, Any]:
    """Return a network at a minimum of its loss, or next to it."""
    model = net()
    loss = nn.CrossEntropyLoss(label_smoothing=0.2)
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=600, tolerance_grad=1e-9, tolerance_change=0,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = loss(model(INPUTS), LABELS)
        value.backward()
        return value

    optimizer.step(closure)
    curve = objective(model, loss, (INPUTS, LABELS))
    assert float(curve.gradient().norm()) < 1e-4
    return model, curve


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
    ],
    ids=str,
)
def test_a_trained_network_swings_apart_just_above_the_rate_and_settles_just_below(settings):
    """How far it is along the sharpest direction, over the first 20 steps."""
    model, curve = settled()
    (top,) = extremes(Hessian(curve), smallest=0).largest
    found = stable_rate(Hessian(curve), torch.optim.SGD(model.parameters(), lr=0.1, **settings))

    def along(rate: float) -> list[float]:
        torch.nn.utils.vector_to_parameters(curve.point + 1e-5 * top.vector, model.parameters())
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, **settings)
        (batch,), seen = curve.terms, []
        for _ in range(21):
            place = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
            seen.append(abs(float((place - curve.point) @ top.vector)))
            optimizer.zero_grad()
            batch.loss(batch.output(dict(model.named_parameters()))).backward()
            optimizer.step()
        return seen

    below, above = along(0.95 * found.low), along(1.05 * found.high)
    assert max(below[-5:]) < 0.7 * max(below[:5])
    assert max(above[-5:]) > 2 * max(above[:5])


def test_groups_keep_the_ratios_of_their_rates():
    surface = quadratic((2.0, 8.0))
    point = torch.tensor(surface.start, dtype=torch.float64)

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = (nn.Parameter(point[k : k + 1].clone()) for k in range(2))

        def forward(self, inputs: Tensor) -> Tensor:
            return surface(torch.cat([self.a, self.b])).expand(len(inputs))

    model = Pair()
    curve = objective(model, lambda z, _: z.mean(), (torch.zeros(1), torch.zeros(1)))
    groups = [{"params": [model.a], "lr": 0.1}, {"params": [model.b], "lr": 0.001}]
    found = stable_rate(Hessian(curve), torch.optim.SGD(groups))
    assert found.low <= 1.0 <= found.high
    assert found.stable


def test_a_bias_before_a_normalization_does_not_inflate_the_preconditioned_curvature():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(30):
        optimizer.zero_grad()
        cross_entropy(model(INPUTS), LABELS).backward()
        optimizer.step()
    curve = objective(model, cross_entropy, (INPUTS, LABELS), training=True)
    scaled = preconditioned(Hessian(curve), optimizer)
    bias = curve.layout.split(scaled.scale)["0.bias"]
    assert not bias.any()
    assert scaled.active == curve.size - 6


def test_parameters_that_the_optimizer_does_not_train_do_not_count():
    model = net()
    last = list(model.parameters())[-2:]
    optimizer = torch.optim.SGD(last, lr=0.1)
    hessian = Hessian(objective(model, cross_entropy, (INPUTS, LABELS)))
    block = hessian.dense()[-27:, -27:]
    expected = 2 / float(torch.linalg.eigvalsh(block)[-1])
    assert stable_rate(hessian, optimizer).low == pytest.approx(expected, rel=0.01)


def test_asking_leaves_the_optimizer_as_it_was():
    optimizer, hessian = trained(torch.optim.AdamW)
    before = {k: v.clone() for s in optimizer.state.values() for k, v in s.items()}
    stable_rate(hessian, optimizer)
    preconditioned(hessian, optimizer)
    after = {k: v for s in optimizer.state.values() for k, v in s.items()}
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert len(optimizer.state) == 4


def test_where_nothing_curves_upwards_every_rate_is_stable():
    point = nn.Parameter(torch.ones(3))
    hessian = Hessian(function(lambda w: -(w * w).sum(), point))
    found = stable_rate(hessian, torch.optim.SGD([point], lr=0.1))
    assert found.low == float("inf")
    assert found.stable
