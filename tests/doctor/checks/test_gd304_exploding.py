import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, diagnose, find_check
from watched import train

CHECK = find_check("GD304")


def deep(activation: type[nn.Module], depth: int, spread: float) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(4, 32), activation()]
    for _ in range(depth):
        layers += [nn.Linear(32, 32), activation()]
    model = nn.Sequential(*layers, nn.Linear(32, 2))
    for each in model:
        if isinstance(each, nn.Linear):
            nn.init.normal_(each.weight, std=spread * each.in_features**-0.5)
    return model


class Sequence(nn.Module):
    """A recurrent layer over long sequences made of points, and a layer on its end."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.core, self.head = nn.RNN(4, 32, batch_first=True), nn.Linear(32, 2)
        with torch.no_grad():
            dict(self.core.named_parameters())["weight_hh_l0"].mul_(scale)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.core(inputs[:, None].expand(-1, 40, -1) * 0.1)[0][:, -1])


def trained(model: nn.Module, lr: float = 1e-3) -> Evidence:
    return train(lambda p: torch.optim.SGD(p, lr=lr), model).evidence


def test_large_weights_in_a_deep_network_are_found_with_their_scale() -> None:
    (found,) = CHECK(trained(deep(nn.ReLU, 8, 4.0), 1e-9))
    assert (found.code, found.severity, found.where) == ("GD304", "error", "0")
    assert found.numbers["growth"] > 1000
    assert "nn.init.kaiming_normal_(0.weight), and so 9 more" in found.change
    assert "clip_grad_norm_" in found.change


def test_it_explains_numbers_that_are_not_finite() -> None:
    findings = diagnose(trained(deep(nn.ReLU, 8, 4.0), 0.1)).findings
    assert findings[0].code == "GD304"
    assert "GD101" in [each.code for each in findings]


def test_recurrence_that_grows_over_many_steps_is_found() -> None:
    (found,) = CHECK(trained(Sequence(3.0)))
    assert found.change.startswith("nn.init.orthogonal_(core.weight_hh_l0)")
    assert not CHECK(trained(Sequence(1.0)))


def test_weights_at_the_scale_of_the_activation_are_left_alone() -> None:
    assert not CHECK(trained(deep(nn.ReLU, 8, 2**0.5)))
    assert not CHECK(trained(deep(nn.Tanh, 8, 1.0)))


def test_a_rate_far_too_large_is_another_disease() -> None:
    assert not CHECK(trained(deep(nn.ReLU, 2, 1.0), lr=100.0))


def test_normalized_layers_are_left_alone() -> None:
    layers = [p for _ in range(12) for p in (nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU())]
    torch.manual_seed(0)
    assert not CHECK(trained(nn.Sequential(nn.Linear(4, 32), *layers, nn.Linear(32, 2))))


def test_a_first_gradient_that_is_not_finite_is_another_disease() -> None:
    class Rooted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = deep(nn.ReLU, 2, 1.0)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.net((0 * inputs * next(self.net.parameters())[0]).sqrt())

    assert not CHECK(trained(Rooted()))
