import pytest
import torch

from thalweg.doctor import find_check
from watched import Make, train

CHECK = find_check("GD201")


def sgd(lr: float, momentum: float = 0.0) -> Make:
    return lambda params: torch.optim.SGD(params, lr=lr, momentum=momentum)


def adam(lr: float) -> Make:
    return lambda params: torch.optim.Adam(params, lr=lr)


@pytest.mark.parametrize("make", [sgd(1e-3), sgd(1e-4, 0.9), adam(1e-5)])
def test_a_rate_far_too_small_is_found_whatever_the_rule(make: Make) -> None:
    (found,) = CHECK(train(make, steps=100).evidence)
    assert (found.code, found.severity) == ("GD201", "warning")
    old, new = (float(each) for each in found.change.removeprefix("lr=").split(" → "))
    assert 30 * old <= new <= 1000 * old
    assert found.numbers["promised"] < 0.5


def test_the_rate_it_asks_for_trains_and_is_not_called_slow() -> None:
    (found,) = CHECK(train(sgd(1e-4), steps=100).evidence)
    better = float(found.change.split(" → ")[1])
    cured = train(sgd(better), steps=100).evidence
    assert not CHECK(cured)
    assert cured.losses.values[-10:].mean() < 0.7 * cured.losses.values[0]


def test_a_limit_that_is_known_is_named_and_bounds_the_cure() -> None:
    (found,) = CHECK(train(sgd(1e-3), steps=60, at_exit=60.0).evidence)
    assert found.numbers["limit_over_lr"] > 100
    assert "would still be stable" in found.sentence


@pytest.mark.parametrize("make", [sgd(0.1), sgd(0.03, 0.9), adam(1e-2)])
def test_rates_that_train_are_left_alone(make: Make) -> None:
    assert not CHECK(train(make, steps=100).evidence)


def test_a_handful_of_updates_is_too_few_to_tell() -> None:
    assert not CHECK(train(sgd(1e-4), steps=10).evidence)
