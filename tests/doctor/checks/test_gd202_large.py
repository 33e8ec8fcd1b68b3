import pytest
import torch
from torch import nn

from thalweg.doctor import Evidence, find_check
from thalweg.doctor.evidence import (
    GroupFacts,
    ModelFacts,
    OptimizerFacts,
    ParameterFacts,
    ParameterProbe,
    Probe,
    Step,
    Units,
)
from watched import Make, fit, line, net, points, train

CHECK = find_check("GD202")


def sgd(lr: float, momentum: float = 0.0) -> Make:
    return lambda params: torch.optim.SGD(params, lr=lr, momentum=momentum)


def adam(lr: float) -> Make:
    return lambda params: torch.optim.Adam(params, lr=lr)


def test_a_loss_that_jumps_at_the_edge_of_stability_is_found_with_its_limit() -> None:
    (found,) = CHECK(train(sgd(8.0), steps=150, at_exit=60.0).evidence)
    assert found.code == "GD202"
    assert found.numbers["limit_over_lr"] < 2
    assert "largest stable rate" in found.sentence


def test_the_rate_it_asks_for_trains() -> None:
    ill = train(sgd(8.0), steps=150, at_exit=60.0).evidence
    (found,) = CHECK(ill)
    better = float(found.change.split(" → ")[1])
    cured = train(sgd(better), steps=150, at_exit=60.0).evidence
    assert not CHECK(cured)
    assert cured.losses.tail(0.1).values.mean() < 0.7 * ill.losses.tail(0.1).values.mean()


def test_a_loss_that_grows_without_end_is_an_error() -> None:
    inputs = torch.linspace(-3, 3, 64)[:, None]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
    (found,) = CHECK(fit(model, sgd(0.2), (inputs, torch.sin(2 * inputs)), 60))
    assert found.severity == "error"


@pytest.mark.parametrize("make", [adam(1.0), sgd(30.0), sgd(5.0, 0.9)])
def test_a_classifier_that_is_thrown_about_is_found_whatever_the_rule(make: Make) -> None:
    found = CHECK(train(make, steps=150, at_exit=60.0).evidence)
    assert [each.code for each in found] == ["GD202"]


@pytest.mark.parametrize("make", [adam(1e-2), sgd(0.1), sgd(0.1, 0.9)])
def test_rates_that_train_are_left_alone(make: Make) -> None:
    assert not CHECK(train(make, steps=150, at_exit=60.0).evidence)


def test_noise_and_a_rate_too_small_are_other_diseases() -> None:
    noisy = fit(nn.Linear(10, 1), sgd(0.05), line(noise=1.0), 400, batch=4)
    assert not CHECK(noisy)
    assert not CHECK(train(sgd(1e-4), steps=100, at_exit=60.0).evidence)


def test_labels_that_cannot_be_learned_are_no_reason_to_lower_the_rate() -> None:
    inputs, labels = points()
    shuffled = labels[torch.randperm(256, generator=torch.Generator().manual_seed(0))]
    assert not CHECK(fit(net(), sgd(0.1), (inputs, shuffled), 100, 32, nn.CrossEntropyLoss()))


def test_a_loss_that_ends_far_above_its_start_is_an_error_though_it_falls_again() -> None:
    losses = [2.3, 2.5, *(30.0 - 0.1 * k for k in range(98))]
    weight = {"w": ParameterProbe(gradient=1.0, weight=1.0, update=0.1)}
    seen = Evidence(
        steps=[Step(k, loss, (1.0,)) for k, loss in enumerate(losses, 1)],
        probes=[Probe(1, weight), Probe(2, weight)],
    )
    (found,) = CHECK(seen)
    assert found.severity == "error"
    assert "rose to" in found.sentence


def test_the_noise_of_pairs_is_no_rate_that_is_too_large() -> None:
    noisy = fit(net(10), adam(0.03), pairs(), 1000, 2, nn.CrossEntropyLoss())
    assert not CHECK(noisy)


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """Return points of which one in four has the wrong class."""
    inputs, labels = points(512, 10)
    wrong = torch.rand(512, generator=torch.Generator().manual_seed(0)) < 0.25
    return inputs, torch.where(wrong, 1 - labels, labels)


@pytest.mark.parametrize(("lr", "right"), [(0.5, True), (1e-4, False)])
def test_units_that_died_at_long_steps_died_of_them(lr: float, right: bool) -> None:
    steps = [Step(k + 1, 2.3, (lr,), 32) for k in range(60)]
    one = ParameterProbe(gradient=1.5, weight=4.0, update=1.5 * lr)
    seen = Evidence(
        model=ModelFacts(parameters={"w": ParameterFacts("w", (8, 8))}, order=("relu",)),
        optimizer=OptimizerFacts("SGD", (GroupFacts({"momentum": 0.9}),)),
        steps=steps,
        probes=[Probe(1, {"w": one}), Probe(2, {"w": one})],
        units={"relu": Units(10, 1, 500, begun=9)},
    )
    assert bool(CHECK(seen)) == right
