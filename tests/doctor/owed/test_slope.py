"""Wrong gradients are told from right ones, kinks from mistakes, and the function is named."""

from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence
from thalweg.doctor.evidence import GradientCheck
from watched import net, points, sgd, train


class Doubled(torch.autograd.Function):
    """The identity whose gradient is twice what it should be."""

    @staticmethod
    def forward(context: Any, inputs: Tensor) -> Tensor:
        return inputs.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        return 2 * gradients[0]


class Honest(torch.autograd.Function):
    """The square, with its gradient."""

    @staticmethod
    def forward(context: Any, inputs: Tensor) -> Tensor:
        context.save_for_backward(inputs)
        return inputs**2

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        (inputs,) = context.saved_tensors
        return 2 * inputs * gradients[0]


class Custom(nn.Module):
    """A network that calls custom functions between its two layers."""

    def __init__(self, *functions: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.functions = functions
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.one(inputs)
        for each in self.functions:
            hidden = each.apply(hidden)
        return self.two(hidden)


def checked(model: nn.Module, steps: int = 3) -> GradientCheck:
    found = train(sgd, model, steps, at_exit=60.0, overhead=0.0).evidence
    assert found.gradient_check is not None
    return found.gradient_check


def test_the_gradient_of_a_network_is_right() -> None:
    found = checked(net())
    assert found.error < 1e-5
    assert not found.mismatches
    assert not found.kinked


def test_a_wrong_gradient_is_found_where_it_is_with_the_function_that_makes_it() -> None:
    found = checked(Custom(Honest, Doubled))
    assert found.error > 0.01
    assert {each.parameter for each in found.mismatches} == {"one.weight", "one.bias"}
    for each in found.mismatches:
        assert each.function == "Doubled"
        assert abs(each.gradient / each.slope - 2) < 1e-3


apply_honest, apply_doubled = Honest.apply, Doubled.apply


def test_a_function_called_by_another_name_is_known_by_what_it_is_on_the_way_to() -> None:
    class Late(Custom):
        def forward(self, inputs: Tensor) -> Tensor:
            return apply_honest(self.two(apply_doubled(self.one(inputs))))

    found = checked(Late())
    assert {each.function for each in found.mismatches} == {"Doubled"}


def test_a_function_with_the_right_gradient_is_left_alone() -> None:
    found = checked(Custom(Honest))
    assert found.error < 1e-5
    assert not found.mismatches


class AtTheKink(nn.Module):
    """A rectifier that all examples meet at its kink: its inputs are zero for any weight's sign."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.last = nn.Parameter(torch.zeros(4)), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(torch.relu(self.scale * inputs.abs()))


def test_a_kink_is_not_a_mistake() -> None:
    model = AtTheKink()
    found = checked(model, steps=1)
    assert not found.mismatches


class Cut(nn.Module):
    """A network of which a part is cut off from the gradient but not from the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.one(inputs)
        return self.two(0.5 * hidden + 0.5 * hidden.detach())


def test_a_part_cut_off_from_the_gradient_shows_as_a_wrong_slope() -> None:
    found = checked(Cut())
    assert {each.parameter for each in found.mismatches} == {"one.weight", "one.bias"}
    assert {each.function for each in found.mismatches} == {""}


def test_dropout_does_not_disturb_the_differences() -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Tanh(), nn.Linear(16, 2))
    found = checked(model)
    assert found.error < 1e-5
    assert not found.mismatches


def test_a_loss_that_is_a_plain_function_is_checked_as_well() -> None:
    def loss_fn(output: Tensor, labels: Tensor) -> Tensor:
        return ((output[:, 0] - labels) ** 2).mean()

    evidence = _plain(loss_fn)
    assert evidence.gradient_check is not None
    assert evidence.gradient_check.error < 1e-5
    assert evidence.curvature is not None


def _plain(loss_fn: Any) -> Evidence:
    from thalweg.doctor import watch

    model = net()
    optimizer = sgd(model.parameters())
    inputs, labels = points()
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        for _ in range(3):
            optimizer.zero_grad()
            loss_fn(model(inputs[:32]), labels[:32]).backward()
            optimizer.step()
    return watching.evidence


class Single(nn.Module):
    """A network that puts out single precision whatever it computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs).float()


def test_a_loss_that_is_rounded_to_single_precision_is_not_taken_for_a_wrong_gradient() -> None:
    model = Single()
    with torch.no_grad():
        model.net[2].weight.mul_(1e-3)  # type: ignore[operator]
    found = checked(model)
    assert found.complete
    assert not [each for each in found.mismatches if abs(each.gradient - each.slope) > 1e-7]


def test_one_huge_parameter_does_not_lead_beyond_the_kinks_of_the_others() -> None:
    model = net()
    with torch.no_grad():
        model[0].bias[:4] = -1e5  # type: ignore[operator]
    found = checked(model)
    assert found.error < 1e-3
    assert not found.mismatches
