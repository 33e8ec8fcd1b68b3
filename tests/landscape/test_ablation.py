"""Silenced units say nothing, the rest of the network goes on, and afterwards all is as before."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from thalweg import problems
from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.landscape import Objective, ablation, function, objective, unit_importance
from thalweg.problems.convolutional import convolutional

NOTHING: Any = None


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Objective]:
    """A perceptron that has learned the digits, and its loss on some of them."""
    problem = problems.load("digits")
    model: Any = problem.make_model(0)
    train: Any = problem.train
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(model(train.inputs), train.targets).backward()
        optimizer.step()
    return model, objective(model, cross_entropy, (train.inputs[:300], train.targets[:300]))


def images() -> tuple[Any, Objective]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(6, 3, 32, 32, generator=generator)
    model: Any = convolutional()(0)
    return model, objective(model, cross_entropy, (inputs, torch.arange(6)), batch=4)


@torch.no_grad()
def test_silencing_units_of_a_linear_layer_is_cutting_their_wires(digits):
    model, curve = digits
    found: Any = unit_importance(curve, "0")
    inputs, targets = curve.terms[0].batch.inputs, curve.terms[0].targets
    for unit in (0, 7, 63):
        hidden = model[0](inputs)
        hidden[:, unit] = 0
        output = model[2](model[1](hidden))
        assert found.loss + float(found.rises[unit]) == pytest.approx(
            float(cross_entropy(output, targets)), rel=1e-5
        )
        right = float((output.argmax(1) == targets).double().mean())
        assert found.accuracy - float(found.drops[unit]) == pytest.approx(right)


def test_silencing_channels_of_a_convolution_is_zeroing_its_filters():
    model, curve = images()
    found = unit_importance(curve, "4")
    with torch.no_grad():
        model[4].weight[5], model[4].bias[5] = 0, 0
    again = unit_importance(objective(model, cross_entropy, pairs(curve)), "4")
    assert found.loss + float(found.rises[5]) == pytest.approx(again.loss, rel=1e-6)
    assert float(again.rises[5]) == pytest.approx(0, abs=1e-9)


def pairs(curve: Objective) -> Any:
    return [(term.batch.inputs, term.targets) for term in curve.terms]  # type: ignore[attr-defined]


def test_a_unit_held_at_its_mean_costs_nothing_where_it_never_changes():
    model: Any = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].weight[1] = 0
        model[0].bias[1] = 5
    curve = objective(model, mse_loss, (torch.randn(20, 3), torch.randn(20, 2)), batch=7)
    at_mean, at_zero = (unit_importance(curve, "0", to=to) for to in ("mean", "zero"))
    assert float(at_mean.rises[1]) == pytest.approx(0, abs=1e-6)
    assert abs(float(at_zero.rises[1])) > 1e-3
    assert at_mean.drops is None


def test_the_mean_is_that_over_all_batches_and_places():
    model, curve = images()
    held: list[Tensor] = []
    whole = torch.cat([inputs for inputs, _ in pairs(curve)])
    means = model[0](whole).mean((0, 2, 3))
    listener = model[1].register_forward_pre_hook(lambda _, inputs: held.append(inputs[0]))
    ablation(curve, "0", to="mean", counts=[16], draws=1)
    listener.remove()
    expected = means.view(1, -1, 1, 1).expand_as(held[-1])
    torch.testing.assert_close(held[-1], expected, rtol=1e-4, atol=1e-6)


def test_the_curve_begins_whole_and_ends_with_a_guess(digits):
    model, curve = digits
    found: Any = ablation(curve, "0", draws=4)
    assert (found.counts[0], found.counts[-1], found.units) == (0, 64, 64)
    assert found.losses.shape == found.accuracies.shape == (4, len(found.counts))
    torch.testing.assert_close(found.losses[:, 0], torch.full((4,), curve()).double())
    silent = model[2].bias.expand(300, 10)
    expected = cross_entropy(silent, curve.terms[0].targets).item()
    torch.testing.assert_close(found.losses[:, -1], torch.full((4,), expected).double())
    assert float(found.accuracies[:, 0].min()) > 0.95
    assert float(found.accuracies[:, -1].max()) < 0.2
    assert len({tuple(row.tolist()) for row in found.losses}) > 1


def test_orders_are_drawn_from_the_seed(digits):
    _, curve = digits
    first, again, other = (ablation(curve, "0", draws=2, counts=[9], seed=s) for s in (1, 1, 2))
    assert torch.equal(first.losses, again.losses)
    assert not torch.equal(first.losses, other.losses)


def test_a_network_that_reads_one_unit_relies_on_it_alone():
    model: Any = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 2))
    with torch.no_grad():
        model[2].weight[:, [0, 1, 3, 4]] = 0
    curve = objective(model, mse_loss, (torch.randn(30, 5), 10 + torch.randn(30, 2)))
    rises = unit_importance(curve, "1").rises
    assert rises[[0, 1, 3, 4]].tolist() == [0] * 4
    assert rises[2] != 0


@pytest.mark.parametrize("layer", ["0", "1", "2", "3", "14"])
def test_the_model_is_afterwards_as_before_bit_for_bit(layer):
    model, curve = images()
    model.train()
    model[3].eval()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    ablation(curve, layer, draws=1, counts=[1, 2], to="mean")
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_loss_that_fails_leaves_no_hook_behind():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    failing: Any = lambda z, y: 1 / 0  # noqa: E731
    curve = objective(model, failing, (torch.randn(5, 3), torch.randn(5, 2)))
    with pytest.raises(ZeroDivisionError):
        ablation(curve, "0")
    assert not model[0]._forward_hooks


def test_units_of_sequences_are_features():
    model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
    curve = objective(model, mse_loss, (torch.randn(5, 7, 3), torch.randn(5, 7, 2)))
    assert len(unit_importance(curve, "0").rises) == 4
    assert len(unit_importance(curve, "1", axis=-1).rises) == 4
    with pytest.raises(BadValue, match=r"shape \(5, 7, 4\); say which axis"):
        unit_importance(curve, "1")


class Aside(nn.Module):
    """One layer that is never called, and one that returns two things."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.LSTM(3, 2, batch_first=True), nn.Linear(3, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.used(inputs)[0]


@pytest.mark.parametrize(
    ("layer", "options", "error", "message"),
    [
        ("used", {}, BadType, "'used' returns no tensor"),
        ("unused", {}, BadValue, "does not call 'unused'"),
        ("usd", {}, UnknownName, "no layer 'usd'. Did you mean 'used'"),
        ("", {}, UnknownName, "no layer ''"),
        ("unused", {"to": "one"}, UnknownName, "to='one'"),
        ("unused", {"draws": 0}, BadValue, "draws=0"),
        ("unused", {"point": torch.ones(3)}, BadValue, r"point has shape \(3,\)"),
    ],
)
def test_layers_that_cannot_be_silenced_are_refused(layer, options, error, message):
    curve = objective(Aside(), mse_loss, (torch.randn(5, 7, 3), torch.randn(5, 7, 2)))
    with pytest.raises(error, match=message):
        ablation(curve, layer, **options)


def test_points_and_losses_that_are_no_numbers_are_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    data = (torch.randn(5, 3), torch.randn(5, 2))
    curve = objective(model, mse_loss, data)
    with pytest.raises(BadValue, match="point has numbers that are not finite"):
        ablation(curve, "0", point=curve.point / 0)
    with pytest.raises(BadValue, match="count=5; .* from 0 to 4"):
        ablation(curve, "0", counts=[5])
    with pytest.raises(BadValue, match=r"the loss is a tensor of shape \(5, 2\)"):
        ablation(objective(model, nn.MSELoss(reduction="none"), data), "0")
    with pytest.raises(BadValue, match="a plain function has no layers"):
        ablation(function(torch.sum, torch.ones(3)), "0")
