import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, diagnose, find_check
from watched import sgd, train

CHECK = find_check("GD303")


def deep(activation: type[nn.Module], depth: int, scale: float = 1.0) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(4, 16), activation()]
    for _ in range(depth):
        layers += [nn.Linear(16, 16), activation()]
    model = nn.Sequential(*layers, nn.Linear(16, 2))
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(scale if each.ndim > 1 else 0.0)
    return model


def trained(model: nn.Module, steps: int = 40) -> Evidence:
    return train(lambda p: torch.optim.Adam(p, lr=3e-3), model, steps, overhead=1e9).evidence


def test_a_deep_chain_of_sigmoids_loses_its_gradient_and_rectifiers_are_advised() -> None:
    (found,) = CHECK(trained(deep(nn.Sigmoid, 8)))
    assert (found.code, found.severity, found.where) == ("GD303", "error", "0")
    assert found.change == "nn.Sigmoid() → nn.ReLU(), nn.init.kaiming_normal_(0.weight)"
    assert found.numbers["weights"] < 1e-4


def test_weights_too_small_lose_it_though_the_gradients_of_weights_are_alike() -> None:
    (found,) = CHECK(train(sgd, deep(nn.ReLU, 6, 0.2), 6, overhead=1e9).evidence)
    assert found.numbers["outputs"] < 1e-4
    assert found.numbers["weights"] > 0.01
    assert found.change.startswith("nn.init.kaiming_normal_(0.weight), and so 7 more")


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.Tanh, nn.ReLU])
def test_shallow_networks_are_left_alone(activation: type[nn.Module]) -> None:
    assert not CHECK(trained(deep(activation, 1)))


def test_a_deep_network_that_is_normalized_is_left_alone() -> None:
    layers = [part for _ in range(10) for part in (nn.Linear(16, 16), nn.LayerNorm(16), nn.ReLU())]
    torch.manual_seed(0)
    assert not CHECK(trained(nn.Sequential(nn.Linear(4, 16), *layers, nn.Linear(16, 2))))


def test_a_layer_that_is_dead_from_the_beginning_is_another_disease() -> None:
    model = deep(nn.ReLU, 2)
    with torch.no_grad():
        model[2].bias.fill_(-20.0)  # type: ignore[operator]
    evidence = train(sgd, model, overhead=1e9).evidence
    assert not CHECK(evidence)
    assert find_check("GD301")(evidence)


def test_units_that_die_where_nothing_arrives_follow_from_it() -> None:
    evidence = train(sgd, deep(nn.ReLU, 6, 0.2), 60, overhead=1e9).evidence
    assert diagnose(evidence).findings[0].code == "GD303"


def test_two_layers_that_are_small_alike_are_another_disease() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
    for each in model.parameters():
        nn.init.normal_(each, std=1e-6)
    assert not CHECK(train(sgd, model, overhead=1e9).evidence)


class Chosen(nn.Module):
    """Two experts of which a router chooses one, by a function that has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.router, self.experts = nn.Linear(4, 2), nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        chosen = self.router(inputs).argmax(1)
        answers = self.experts(inputs).unflatten(1, (2, 2))
        return answers[torch.arange(len(inputs)), chosen]


def test_a_gradient_that_is_cut_off_has_not_vanished() -> None:
    seen = train(sgd, Chosen(), 40, overhead=1e9).evidence
    assert not CHECK(seen)
    assert diagnose(seen).findings[0].code == "GD401"
