"""What a probe sees of layers: activations called as functions, gradients, and only training."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.doctor import Watch, find_check
from watched import forget_what_was_compiled, net, points, sgd, train


@pytest.fixture(autouse=True)
def nothing_compiled_yet() -> None:
    forget_what_was_compiled()


class Functional(nn.Module):
    """A network that calls its activations as functions, each in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 16), nn.Linear(16, 16)
        self.three, self.four = nn.Linear(16, 8), nn.Linear(8, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.relu(self.one(inputs))
        hidden = self.two(hidden).clamp(min=0)
        return self.four(torch.tanh(self.three(hidden)))


def watched(model: nn.Module, steps: int = 30) -> Watch:
    return train(sgd, model, steps, overhead=1e9)


def test_activations_called_as_functions_are_layers_named_after_the_layer_before() -> None:
    torch.manual_seed(0)
    evidence = watched(Functional()).evidence
    names = ("one", "relu(one)", "two", "relu(two)", "three", "tanh(three)", "four")
    assert evidence.model.order == names
    assert tuple(evidence.probes[-1].layers) == names
    assert evidence.model.modules["relu(one)"].family == "activation"
    assert evidence.probes[-1].layers["tanh(three)"].saturated is not None
    assert evidence.units.keys() == {"relu(one)", "relu(two)"}


def test_an_activation_that_is_a_module_is_seen_once() -> None:
    assert watched(net()).evidence.model.order == ("0", "1", "2")


def test_a_dead_rectifier_called_as_a_function_is_found() -> None:
    model = Functional()
    with torch.no_grad():
        model.one.bias.fill_(-20.0)
    found = find_check("GD301")(watched(model).evidence)
    assert found[0].where == "relu(one)"


def test_the_gradient_of_a_layer_is_that_of_its_output() -> None:
    model = net()
    inputs, labels = points()
    probe = watched(model, steps=1).evidence.probes[0]
    fresh, rows = net(), torch.randint(256, (32,), generator=torch.Generator().manual_seed(1))
    hidden = fresh[0](inputs[rows])
    loss = nn.CrossEntropyLoss()(fresh[2](fresh[1](hidden)), labels[rows])
    (expected,) = torch.autograd.grad(loss, hidden)
    assert probe.layers["0"].gradient == pytest.approx(float(expected.norm()), rel=1e-5)


class Masked(nn.Module):
    """Forbids all but one of its inputs, as a mask of attention does."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([inputs[:, :1], torch.full_like(inputs[:, 1:], -torch.inf)], dim=1)


def test_an_output_that_is_not_finite_is_measured_as_far_as_it_goes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), Masked(), nn.Softmax(1), nn.Linear(8, 2))
    evidence = watched(model, 5).evidence
    assert not evidence.failed
    layer = evidence.probes[-1].layers["1"]
    assert not layer.finite
    assert sum(layer.counts) == 32 * 8
    assert max(map(abs, layer.edges)) < 100


def test_passes_over_held_out_data_are_not_taken_for_training() -> None:
    model, loss_fn = nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.5)), nn.CrossEntropyLoss()
    optimizer = sgd(model.parameters())
    inputs, labels = points()
    with Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=0) as watch:
        for _ in range(3):
            model.eval()
            with torch.no_grad():
                loss_fn(model(inputs[:100]), labels[:100])
            model.train()
            optimizer.zero_grad()
            loss_fn(model(inputs[:32]), labels[:32]).backward()
            optimizer.step()
    probes = watch.evidence.probes
    assert [probe.layers["1"].training for probe in probes] == [True] * 3
    assert [probe.layers["1"].shape for probe in probes] == [(32, 2)] * 3
    assert watch.evidence.inputs is not None
    assert watch.evidence.inputs.examples == 96
    assert [each.examples for each in watch.evidence.steps] == [32] * 3
    validations = watch.evidence.validations
    assert [(each.step, each.examples) for each in validations] == [(0, 100), (1, 100), (2, 100)]
