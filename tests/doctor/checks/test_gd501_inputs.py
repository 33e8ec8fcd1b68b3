import numpy as np
import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from thalweg.doctor.evidence import Inputs, ModelFacts, ModuleFacts, Probe
from thalweg.doctor.evidence.seen import LayerProbe
from watched import points

CHECK = find_check("GD501")


def trained(scale: torch.Tensor, offset: float = 0.0, first: nn.Module | None = None) -> Evidence:
    """The evidence of a network on points whose features are scaled and moved."""
    torch.manual_seed(0)
    layers = [nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)]
    model = nn.Sequential(*([first] if first else []), *layers)
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=1e-4), nn.CrossEntropyLoss()
    inputs, labels = points()
    inputs = inputs * scale + offset
    with watch(model, optimizer, loss_fn, overhead=1e9, at_exit=0) as watching:
        for begin in range(0, 256, 64):
            rows = slice(begin, begin + 64)
            optimizer.zero_grad()
            loss_fn(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    return watching.evidence


def described(low: list[float], high: list[float], mean: list[float], std: list[float]) -> Evidence:
    names = [f"feature {k}" for k in range(len(low))]
    centre, spread, least, most = (np.asarray(each) for each in (mean, std, low, high))
    return Evidence(inputs=Inputs(names, centre, spread, least, most, 1000))


def test_a_feature_a_thousand_times_larger_is_named() -> None:
    (found,) = CHECK(trained(torch.tensor([1.0, 1.0, 1000.0, 1.0])))
    assert (found.code, found.severity, found.where) == ("GD501", "error", "input, feature 2")
    assert found.change == "inputs → (inputs - mean) / std, feature by feature"


def test_features_far_from_zero_are_found() -> None:
    (found,) = CHECK(trained(torch.ones(4), offset=10.0))
    assert found.severity == "warning"
    assert "spreads from zero" in found.sentence


def test_pixels_from_0_to_255_are_found() -> None:
    found = CHECK(trained(torch.full((4,), 60.0)))
    assert [each.where for each in found] == ["input, all features"]


def test_standardized_features_are_left_alone() -> None:
    assert not CHECK(trained(torch.ones(4)))


def test_a_normalization_in_front_makes_it_good() -> None:
    assert not CHECK(trained(torch.tensor([1.0, 1.0, 1000.0, 1.0]), first=nn.BatchNorm1d(4)))


def test_rare_and_frequent_indicators_are_left_alone() -> None:
    rare, frequent = 0.001, 0.99
    spread = [(p * (1 - p)) ** 0.5 for p in (rare, frequent, 0.5)]
    seen = described([0.0] * 3, [1.0] * 3, [rare, frequent, 0.5], spread)
    assert not CHECK(seen)


def test_a_model_that_divides_its_inputs_itself_is_left_alone() -> None:
    seen = described([0.0] * 3, [255.0] * 3, [128.0] * 3, [70.0] * 3)
    assert CHECK(seen)
    layer = ModuleFacts("fc", "Linear", "linear")
    model = ModelFacts(modules={"fc": layer}, order=("fc",))
    probe = Probe(1, layers={"fc": LayerProbe((32, 8), 0.1, 0.6)})
    assert not CHECK(Evidence(inputs=seen.inputs, model=model, probes=[probe]))


def test_a_feature_that_never_changes_is_left_alone() -> None:
    assert not CHECK(described([-2.0, 1e6], [2.0, 1e6], [0.0, 1e6], [1.0, 0.0]))
