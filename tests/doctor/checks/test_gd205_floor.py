import pytest
import torch
from torch import nn

from thalweg.doctor import Evidence, diagnose, find_check
from thalweg.doctor.evidence import Step
from thalweg.doctor.evidence.owed import NoiseScale
from thalweg.doctor.floor import noise_floor
from watched import Make, fit, line, train

CHECK = find_check("GD205")


def sgd(lr: float, momentum: float = 0.0) -> Make:
    return lambda params: torch.optim.SGD(params, lr=lr, momentum=momentum)


def linear(make: Make, batch: int, steps: int = 500) -> Evidence:
    torch.manual_seed(0)
    return fit(nn.Linear(10, 1), make, line(noise=1.0), steps, batch)


def adam(lr: float) -> Make:
    return lambda params: torch.optim.Adam(params, lr=lr)


@pytest.mark.parametrize("make", [sgd(0.06), sgd(0.006, 0.9), adam(0.1)])
def test_small_batches_at_a_constant_rate_keep_the_loss_up(make: Make) -> None:
    seen = linear(make, batch=4)
    (found,) = CHECK(seen)
    assert (found.code, found.severity) == ("GD205", "warning")
    assert diagnose(seen).findings[0].code == "GD205"
    assert "cosine" in found.change


def test_a_small_rate_or_a_large_batch_leaves_no_floor() -> None:
    assert not CHECK(linear(sgd(0.005), batch=4))
    assert not CHECK(linear(sgd(0.06), batch=128))


def test_a_rate_that_is_decayed_to_nothing_leaves_none() -> None:
    seen = linear(sgd(0.06), batch=4)
    steps = [Step(each.number, each.loss, (1e-4,)) for each in seen.steps]
    decayed = Evidence(steps=steps, noise=seen.noise, optimizer=seen.optimizer, model=seen.model)
    assert not CHECK(decayed)


def test_a_loss_that_still_falls_is_left_alone() -> None:
    assert not CHECK(train(steps=200, at_exit=60.0).evidence)


def test_the_floor_of_a_quadratic_is_that_of_the_book() -> None:
    steps = [Step(k, 1.0, (0.1,)) for k in range(1, 5)]
    seen = Evidence(steps=steps, noise=NoiseScale(4, 1.0, 0.0, 2.0, 8, spread=16.0, signal=1.0))
    assert noise_floor(seen) == pytest.approx(0.1 / 4 * 16 / 8)
