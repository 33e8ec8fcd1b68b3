import pytest
import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from thalweg.doctor.evidence import Curvature, Step
from watched import train

CHECK = find_check("GD203")
FALLING, RISING = [2.0 / k for k in range(1, 41)], [0.1 * k for k in range(1, 41)]


def evidence(lr: float, losses: list[float], stable: tuple[float, float] = (0.1, 0.11)) -> Evidence:
    steps = [Step(k, loss, (lr,)) for k, loss in enumerate(losses, 1)]
    return Evidence(steps=steps, curvature=Curvature(len(losses), 20.0, -1.0, 0.0, stable))


def quadratic(lr: float) -> Evidence:
    """The evidence of gradient descent where the curvature is 2 everywhere."""
    model = nn.Linear(1, 1, bias=False)
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=lr), nn.MSELoss()
    ones = torch.ones(8, 1)
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        for _ in range(24):
            optimizer.zero_grad()
            loss_fn(model(ones), 3 * ones).backward()
            optimizer.step()
    return watching.evidence


def test_descent_beyond_two_over_the_curvature_is_found_with_the_limit() -> None:
    (found,) = CHECK(quadratic(1.6))
    assert (found.code, found.severity) == ("GD203", "error")
    assert found.numbers["stable_lr"] == pytest.approx((1.0, 1.0), rel=1e-3)
    assert found.change == "lr=1.6 → 0.5"


def test_descent_within_it_is_left_alone() -> None:
    assert not CHECK(quadratic(0.4))
    assert not CHECK(train(at_exit=60.0).evidence)


def test_a_rate_beyond_the_limit_while_the_loss_falls_is_no_finding() -> None:
    assert not CHECK(evidence(0.2, FALLING))
    assert CHECK(evidence(0.2, RISING))


def test_a_rate_at_the_edge_is_no_finding_where_the_loss_stands() -> None:
    assert not CHECK(evidence(0.13, [1.0] * 40))
    assert CHECK(evidence(0.2, [1.0] * 40))


def test_a_loss_that_has_stopped_falling_is_a_warning() -> None:
    (found,) = CHECK(evidence(0.5, FALLING[:10] + [0.2] * 70))
    assert found.severity == "warning"


def test_a_limit_that_is_not_known_is_no_evidence() -> None:
    assert not CHECK(evidence(5.0, RISING, (0.0, float("inf"))))


def test_a_loss_that_rose_needs_a_rate_beyond_the_limit_and_no_more() -> None:
    assert CHECK(evidence(0.13, RISING))
    assert not CHECK(evidence(0.105, RISING))
