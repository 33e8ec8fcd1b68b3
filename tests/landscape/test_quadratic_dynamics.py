"""The closed form on a quadratic is what the rules themselves do there, to the last digits."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

import thalweg
from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.landscape import best_setting, dynamics, stable_limit
from thalweg.rules import find

CURVATURES = torch.tensor([0.01, 0.3, 1.0, 1.9, 2.0, 3.7, -0.2, 0.0], dtype=torch.float64)
SETTINGS = [(0.0, False), (0.5, False), (0.9, False), (0.99, False), (0.5, True), (0.9, True)]
NOTHING: Any = None
DIGIT = 10 * torch.finfo(torch.float64).eps
"""What a step may lose of the last digit."""

settings = pytest.mark.parametrize(("momentum", "nesterov"), SETTINGS)


def rule_of(momentum: float, nesterov: bool) -> Any:
    return find("nesterov" if nesterov else "momentum")


def exactly(curvature: float, lr: float, momentum: float, nesterov: bool) -> Iterator[float]:
    """The rule itself, run on the quadratic in fractions, which round nothing."""
    rule, p, buffer = rule_of(momentum, nesterov), Fraction(1), Fraction(0)
    hyper = {"lr": Fraction(lr), "momentum": Fraction(momentum), "dampening": Fraction(0)}
    while True:
        yield float(p)
        step, buffer = rule(Fraction(curvature) * p, buffer, **hyper)
        p -= step


@settings
@pytest.mark.parametrize("lr", [0.1, 0.5, 1.0])
def test_the_closed_form_is_the_rule_run_without_rounding(lr, momentum, nesterov):
    found = dynamics(CURVATURES, lr, momentum=momentum, nesterov=nesterov)
    path = found.path(40, torch.ones_like(CURVATURES))
    for curvature, column in zip(CURVATURES.tolist(), path.T, strict=True):
        run = exactly(curvature, lr, momentum, nesterov)
        expected = torch.tensor([next(run) for _ in range(41)], dtype=torch.float64)
        farthest = expected.abs().cummax(0).values
        assert float(((column - expected).abs() / farthest).max()) < 40 * DIGIT


@settings
def test_torchs_own_steps_go_the_same_way(momentum, nesterov):
    start = torch.linspace(1, 2, len(CURVATURES), dtype=torch.float64)
    p = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([p], lr=0.4, momentum=momentum, nesterov=nesterov)
    compare(optimizer, p, start, dynamics(CURVATURES, 0.4, momentum=momentum, nesterov=nesterov))


@settings
def test_thalwegs_own_steps_go_the_same_way(momentum, nesterov):
    start = torch.linspace(1, 2, len(CURVATURES), dtype=torch.float64)
    p = start.clone().requires_grad_()
    rule = rule_of(momentum, nesterov)
    optimizer = thalweg.Optimizer([p], rule, lr=0.4, momentum=momentum)
    compare(optimizer, p, start, dynamics(CURVATURES, 0.4, momentum=momentum, nesterov=nesterov))


def compare(optimizer: Any, p: Tensor, start: Tensor, found: Any) -> None:
    for step in range(1, 61):
        p.grad = CURVATURES * p.detach()
        optimizer.step()
        torch.testing.assert_close(p.detach(), found.at(step, start), rtol=1e-11, atol=1e-13)


def test_plain_descent_decays_oscillates_and_diverges_where_the_book_says():
    found = dynamics([0.5, 1.0, 1.5, 2.0, 2.5, -1.0, 0.0], lr=1.0)
    assert found.oscillates.tolist() == [False, False, True, True, True, False, False]
    assert found.diverges.tolist() == [False, False, False, False, True, True, False]
    assert found.converges.tolist() == [True, True, True, False, False, False, False]
    torch.testing.assert_close(
        found.rates, torch.tensor([0.5, 0, 0.5, 1, 1.5, 2, 1], dtype=torch.float64)
    )


@settings
def test_it_diverges_just_above_the_stable_limit_and_converges_just_below(momentum, nesterov):
    limit = stable_limit(3.0, momentum=momentum, nesterov=nesterov)
    below, above = (
        dynamics(3.0, limit * turn, momentum=momentum, nesterov=nesterov)
        for turn in (1 - 1e-6, 1 + 1e-6)
    )
    assert below.converges.all()
    assert above.diverges.all()


@settings
def test_the_rate_is_the_one_at_which_the_way_shrinks_in_the_end(momentum, nesterov):
    values = CURVATURES[CURVATURES > 0]
    found = dynamics(values, 0.3, momentum=momentum, nesterov=nesterov)
    power = torch.linalg.matrix_power(found.steps, 4096)
    sizes = torch.linalg.matrix_norm(power).clamp_min(1e-300)
    kept = sizes > 1e-290
    measured = sizes[kept].log() / 4096
    torch.testing.assert_close(measured, found.rates[kept].log(), atol=3e-3, rtol=0)
    assert kept.any()


@pytest.mark.parametrize("momentum", [0.3, 0.9])
def test_the_heavy_ball_swings_only_between_its_two_critical_rates(momentum):
    edge = (1 - momentum**0.5) ** 2
    found = dynamics([edge * 0.999, edge, edge * 1.001], lr=1.0, momentum=momentum)
    assert found.oscillates.tolist() == [False, False, True]
    assert float(found.rates[2]) == pytest.approx(momentum**0.5)


@pytest.mark.parametrize("method", ["gradient descent", "heavy ball", "nesterov"])
@pytest.mark.parametrize("condition", [1.5, 30.0, 1000.0])
def test_no_setting_nearby_is_better_than_the_best(method, condition):
    best = best_setting(2.0, 2.0 * condition, method)
    spread = torch.linspace(2.0, 2.0 * condition, 201)
    nesterov = method == "nesterov"
    at_best = dynamics(spread, best.lr, momentum=best.momentum, nesterov=nesterov).rate
    assert at_best == pytest.approx(best.rate, abs=1e-7)
    for faster in (0.97, 0.99, 1.01, 1.03):
        for shift in (-0.02, 0.0, 0.02) if method != "gradient descent" else (0.0,):
            momentum = min(max(best.momentum + shift * (1 - best.momentum), 1e-9), 0.9999)
            if method == "gradient descent":
                momentum = 0.0
            other = dynamics(spread, best.lr * faster, momentum=momentum, nesterov=nesterov)
            assert other.rate > best.rate


def test_the_best_rates_are_those_of_the_book():
    assert best_setting(1.0, 9.0, "gradient descent") == pytest.approx((0.2, 0.0, 0.8))
    assert best_setting(1.0, 9.0) == pytest.approx((0.25, 0.25, 0.5))
    assert best_setting(4.0, 4.0) == pytest.approx((0.25, 0.0, 0.0))


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: dynamics([], 0.1), BadValue, "one or more finite numbers"),
        (lambda: dynamics([1.0, float("nan")], 0.1), BadValue, "one or more finite numbers"),
        (lambda: dynamics(torch.ones(2, 2), 0.1), BadValue, "in one dimension"),
        (lambda: dynamics("sharp", 0.1), BadType, "curvatures is a str"),
        (lambda: dynamics(1.0, -0.1), BadValue, "lr=-0.1"),
        (lambda: dynamics(1.0, NOTHING), BadType, "lr=None"),
        (lambda: dynamics(1.0, 0.1, momentum=1.0), BadValue, "momentum=1.0"),
        (lambda: dynamics(1.0, 0.1, nesterov=True), BadValue, "without momentum"),
        (lambda: dynamics(1.0, 0.1).at(-1, torch.ones(1)), BadValue, "step=-1"),
        (lambda: dynamics(1.0, 0.1).at(1, torch.ones(2)), BadValue, r"start has shape \(2,\)"),
        (lambda: dynamics(1.0, 0.1).at(1, torch.ones(1) / 0), BadValue, "not finite"),
        (lambda: dynamics(1.0, 0.1).at(1, NOTHING), BadType, "start is a NoneType"),
        (lambda: best_setting(0.0, 1.0), BadValue, "smallest=0: along a flat direction"),
        (lambda: best_setting(2.0, 1.0), BadValue, "largest=1.0"),
        (lambda: best_setting(1.0, 2.0, NOTHING), UnknownName, "heavy ball"),
    ],
)
def test_what_has_no_dynamics_is_refused(ask, error, message):
    with pytest.raises(error, match=message):
        ask()
