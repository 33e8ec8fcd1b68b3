import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor import diagnose, find_check
from watched import net, sgd, train

CHECK = find_check("GD306")


def zeroed(activation: type[nn.Module], *layers: int, biases: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 2)
    )
    for each in layers:
        nn.init.zeros_(model[each].weight)  # type: ignore[arg-type]
        if biases:
            nn.init.zeros_(model[each].bias)  # type: ignore[arg-type]
    return model


class Residual(nn.Module):
    """A block around which the signal goes, and whose last layer begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.out = nn.Linear(4, 16), nn.Linear(16, 2)
        self.up, self.down = nn.Linear(16, 16), nn.Linear(16, 16)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.out.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs)
        return self.out(hidden + self.down(torch.relu(self.up(hidden))))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_a_network_of_zeros_is_found_and_stands_before_all_that_follows(
    activation: type[nn.Module],
) -> None:
    evidence = train(sgd, zeroed(activation, 0, 2, 4)).evidence
    found = diagnose(evidence).findings[0]
    assert (found.code, found.severity, found.where) == ("GD306", "error", "0")
    assert found.numbers["begun"] == found.numbers["matrices"] == 3
    assert "(0.weight" in found.change


def test_zero_weights_with_random_biases_are_found() -> None:
    assert CHECK(train(sgd, zeroed(nn.ReLU, 0, 2, 4, biases=False)).evidence)


def test_a_hidden_layer_of_zeros_that_rectifiers_keep_there_is_found() -> None:
    (found,) = CHECK(train(sgd, zeroed(nn.ReLU, 2)).evidence)
    assert (found.severity, found.where, found.numbers["stayed"]) == ("error", "2", 1)


def test_random_weights_are_left_alone() -> None:
    assert not CHECK(train(sgd, zeroed(nn.ReLU)).evidence)


def test_a_last_layer_of_zeros_is_left_alone() -> None:
    assert not CHECK(train(sgd, zeroed(nn.ReLU, 4)).evidence)
    single = nn.Linear(4, 2)
    nn.init.zeros_(single.weight)
    assert not CHECK(train(sgd, single).evidence)


def test_branches_that_begin_at_zero_are_left_alone() -> None:
    assert not CHECK(train(sgd, Residual()).evidence)


def test_a_first_update_at_rate_zero_is_no_layer_that_stays() -> None:
    def warmed(params: object) -> torch.optim.Optimizer:
        optimizer = sgd(params)  # type: ignore[arg-type]
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
        return optimizer

    model = net()
    nn.init.zeros_(model[2].weight)  # type: ignore[arg-type]
    assert not CHECK(train(warmed, model).evidence)


class Adapter(nn.Module):
    """A frozen layer with a product of two thin matrices beside it, *up* times *down*."""

    def __init__(self, down: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 2).requires_grad_(False)
        self.down = nn.Parameter(down * torch.randn(3, 4))
        self.up = nn.Parameter(torch.zeros(2, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs) + inputs @ self.down.T @ self.up.T


def test_an_adapter_of_which_both_sides_begin_at_zero_is_found_and_one_side_is_left_alone() -> None:
    seen = train(sgd, Adapter(0.0)).evidence
    found = diagnose(seen).findings[0]
    assert (found.code, found.severity, found.numbers["stayed"]) == ("GD306", "error", 2)
    assert not CHECK(train(sgd, Adapter(1.0)).evidence)
