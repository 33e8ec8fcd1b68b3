import torch
from torch import nn

from thalweg.doctor import Evidence, find_check
from thalweg.doctor.evidence import ModelFacts, Probe, Step, Units
from thalweg.doctor.evidence.seen import LayerProbe
from watched import net, sgd, train

CHECK = find_check("GD301")
LAYER = LayerProbe((32, 16), 0.0, 0.0)


def evidence(units: Units, end: float = 1.0) -> Evidence:
    steps = [Step(1, 1.0, (0.5,)), Step(2, end, (0.5,))]
    probes = [Probe(1, layers={"relu": LAYER})]
    return Evidence(
        model=ModelFacts(order=("relu",)), steps=steps, probes=probes, units={"relu": units}
    )


def test_a_layer_whose_bias_lies_far_below_zero_is_dead() -> None:
    model = net()
    with torch.no_grad():
        model[0].bias.fill_(-20.0)  # type: ignore[operator]
    (found,) = CHECK(train(sgd, model, overhead=1e9).evidence)
    assert (found.code, found.severity, found.where) == ("GD301", "error", "1")
    assert found.numbers["share"] == 1.0


def test_a_healthy_layer_is_left_alone() -> None:
    assert not CHECK(train(overhead=1e9).evidence)


def test_units_that_died_ask_for_a_lower_rate_and_born_dead_for_another_beginning() -> None:
    (died,) = CHECK(evidence(Units(10, 2, 500, begun=9)))
    assert (died.change, died.severity) == ("lr=0.5 → 0.05", "error")
    (born,) = CHECK(evidence(Units(10, 5, 500, begun=5)))
    assert "kaiming" in born.change
    assert born.severity == "warning"


def test_few_examples_are_too_few_to_tell() -> None:
    assert not CHECK(evidence(Units(10, 2, 10)))


def test_units_that_are_rarely_active_in_a_run_that_trains_well_are_left_alone() -> None:
    assert not CHECK(evidence(Units(10, 6, 500)))
    assert not CHECK(evidence(Units(10, 2, 500), end=0.01))
    assert CHECK(evidence(Units(10, 1, 500), end=0.01))


def test_a_leaking_layer_cannot_die() -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(), nn.Linear(16, 2))
    with torch.no_grad():
        model[0].bias.fill_(-20.0)  # type: ignore[operator]
    assert not CHECK(train(sgd, model, overhead=1e9).evidence)


def test_units_that_never_lived_are_lost_however_well_the_run_trains() -> None:
    (found,) = CHECK(evidence(Units(10, 3, 500, begun=3), end=0.01))
    assert found.severity == "warning"
    assert not CHECK(evidence(Units(10, 3, 500, begun=9), end=0.01))
