import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, find_check
from watched import Make, fit, line, net, points, sgd, train

CHECK = find_check("GD206")


class Saturated(nn.Module):
    """Probabilities that begin so close to zero that squares have no slope there."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scores = nn.Linear(4, 1)
        nn.init.constant_(self.scores.bias, bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.sigmoid(self.scores(inputs))


def probabilities(bias: float, make: Make = sgd) -> Evidence:
    inputs, labels = points()
    return fit(Saturated(bias), make, (inputs, labels.float()[:, None]), 100, 32)


def test_squares_of_saturated_probabilities_are_flat() -> None:
    (found,) = CHECK(probabilities(-15.0))
    assert (found.code, found.severity) == ("GD206", "error")
    assert "BCEWithLogitsLoss" in found.change
    assert found.numbers["leverage"] < 0.01


def test_the_same_model_begun_in_the_middle_is_left_alone() -> None:
    assert not CHECK(probabilities(0.0))


def test_targets_that_have_nothing_to_do_with_inputs_are_a_plateau_of_noise() -> None:
    inputs, _ = points(4096)
    labels = torch.randint(2, (4096,), generator=torch.Generator().manual_seed(0))
    seen = fit(net(), sgd, (inputs, labels), 120, 32, nn.CrossEntropyLoss(), at_exit=0.0)
    (found,) = CHECK(seen)
    assert (found.severity, found.change[:31]) == ("warning", "look whether inputs and targets")


@pytest.mark.parametrize("lr", [1e-5, 0.1])
def test_a_rate_that_trains_and_one_that_is_only_too_small_are_no_plateau(lr: float) -> None:
    assert not CHECK(train(lambda params: torch.optim.SGD(params, lr=lr), steps=100).evidence)


def test_a_model_that_is_right_from_the_start_has_nowhere_to_go() -> None:
    model = net()
    train(model=model, steps=400)
    again = train(lambda params: torch.optim.SGD(params, lr=1e-3), model=model, steps=100)
    assert not CHECK(again.evidence)


def test_least_squares_that_have_arrived_are_no_plateau() -> None:
    inputs, targets = line(noise=3.0)
    seen = fit(nn.Linear(10, 1), lambda params: torch.optim.SGD(params, lr=0.1), (inputs, targets))
    assert not CHECK(seen)


def test_a_loss_that_rose_has_left_its_start() -> None:
    seen = fit(nn.Linear(10, 1), lambda params: torch.optim.SGD(params, lr=0.9), line())
    assert seen.losses.values[-1] > 2 * seen.losses.values[0]
    assert not CHECK(seen)
