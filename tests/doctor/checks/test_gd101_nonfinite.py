import math

import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from thalweg.doctor.evidence import NonFinite, Step
from watched import points, train

CHECK = find_check("GD101")


def evidence(losses: list[float], found: NonFinite) -> Evidence:
    steps = [Step(k, loss, (0.5,)) for k, loss in enumerate(losses, 1)]
    return Evidence(steps=steps, nonfinite=found)


def test_a_rate_that_blows_the_weights_up_is_the_cause_that_is_named() -> None:
    model = nn.Linear(4, 1)
    optimizer, inputs = torch.optim.SGD(model.parameters(), lr=50.0), points()[0]
    with watch(model, optimizer, nn.MSELoss(), at_exit=0) as watching:
        for _ in range(60):
            optimizer.zero_grad()
            nn.MSELoss()(model(inputs), inputs[:, :1]).backward()
            optimizer.step()
    (found,) = CHECK(watching.evidence)
    assert (found.code, found.severity) == ("GD101", "error")
    assert found.change.startswith("lr=50 → 5")
    assert found.step is not None
    assert found.step < 60


def test_a_module_that_makes_it_while_the_loss_falls_is_named_with_its_cure() -> None:
    where = NonFinite(4, "output", "block.log", "Logarithm", 0.5)
    (found,) = CHECK(evidence([0.9, 0.7, 0.5, math.nan], where))
    assert (found.where, found.step) == ("block.log", 4)
    assert "eps" in found.change
    assert "block.log (Logarithm)" in found.sentence


def test_missing_values_in_the_data_are_not_blamed_on_the_rate() -> None:
    (found,) = CHECK(evidence([0.5, 9.0, math.nan], NonFinite(3, "input", before=9.0)))
    assert "clean the data" in found.change


def test_a_run_of_finite_numbers_is_left_alone() -> None:
    assert not CHECK(train().evidence)
    assert not CHECK(evidence([0.9, 0.7], None))  # type: ignore[arg-type]
