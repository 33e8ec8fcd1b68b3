from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, find_check
from thalweg.doctor.evidence import GradientCheck, Mismatch
from watched import sgd, train

CHECK = find_check("GD102")


class Square(torch.autograd.Function):
    """A square whose derivative has lost its factor of two."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(inputs)
        return inputs * inputs

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        return ctx.saved_tensors[0] * slopes[0]


class Sign(torch.autograd.Function):
    """A step with a gradient that passes straight through it."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        return inputs.sign()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        return slopes[0]


class Layered(nn.Module):
    """Two layers with a function between them."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.function = nn.Linear(4, 8), nn.Linear(8, 2), function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(self.function(self.first(inputs)))


def trained(function: Any) -> Evidence:
    return train(sgd, Layered(function), at_exit=30.0, overhead=0.0).evidence


def test_a_custom_function_with_a_wrong_derivative_is_named_with_its_factor() -> None:
    (found,) = CHECK(trained(Square.apply))
    assert (found.code, found.severity, found.where) == ("GD102", "error", "Square")
    assert found.numbers["parameters"] == ["first.weight", "first.bias"]
    assert found.change == "Square.backward: gradient → 2 * gradient"


def test_a_loss_that_is_cut_off_from_half_of_its_way_is_found_without_a_function() -> None:
    found = CHECK(trained(lambda inputs: inputs * inputs.detach()))
    assert [each.where for each in found] == ["first.weight"]
    assert "from first.weight to the loss" in found[0].change


def test_rectifiers_have_kinks_and_right_gradients() -> None:
    assert not CHECK(train(at_exit=30.0, overhead=0.0).evidence)
    assert not CHECK(trained(torch.abs))


def test_a_straight_through_estimator_is_only_remarked_upon() -> None:
    found = CHECK(trained(Sign.apply))
    assert {each.severity for each in found} == {"remark"}


def test_differences_of_rounding_and_slopes_that_cannot_be_told_are_left_alone() -> None:
    assert not CHECK(Evidence(gradient_check=GradientCheck(1e-6, [Mismatch("w", 1.0, 1.004)])))
    assert not CHECK(Evidence(gradient_check=GradientCheck(0.5, kinked=True)))
    (found,) = CHECK(Evidence(gradient_check=GradientCheck(0.5)))
    assert "no time" in found.sentence


def test_a_whole_whose_every_part_is_right_has_met_kinks_and_is_left_alone() -> None:
    assert not CHECK(Evidence(gradient_check=GradientCheck(0.3, complete=True)))
    (found,) = CHECK(Evidence(gradient_check=GradientCheck(0.3)))
    assert found.severity == "error"
    (found,) = CHECK(Evidence(gradient_check=GradientCheck(0.03)))
    assert found.severity == "warning"
