from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, diagnose, find_check
from thalweg.doctor.evidence import (
    GroupFacts,
    ModelFacts,
    NonFinite,
    OptimizerFacts,
    ParameterFacts,
    ParameterProbe,
    Probe,
    Step,
)
from watched import net, train

CHECK = find_check("GD103")
RULES = (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad)


class Scaled(nn.Module):
    """A network whose scores are so small that its gradients are as well."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.net, self.scale = net(), scale

    def forward(self, inputs: Tensor) -> Tensor:
        return self.scale * self.net(inputs)


def rule(kind: Callable[..., Any], **settings: float) -> Callable[[Iterable[Tensor]], Any]:
    return lambda params: kind(params, lr=1e-3, **settings)


@pytest.mark.parametrize("kind", RULES)
def test_an_eps_above_the_gradients_is_found(kind: Callable[..., Any]) -> None:
    (found,) = CHECK(train(rule(kind, eps=1.0)).evidence)
    assert (found.code, found.severity) == ("GD103", "error")
    assert found.change.startswith("eps=1 → 1e-08")
    assert found.numbers["share"] > 0.95


@pytest.mark.parametrize("kind", RULES)
def test_the_usual_eps_is_left_alone(kind: Callable[..., Any]) -> None:
    assert not CHECK(train(rule(kind)).evidence)


def test_gradients_below_the_usual_eps_are_found_with_a_smaller_one() -> None:
    (found,) = CHECK(train(rule(torch.optim.Adam), Scaled(1e-9)).evidence)
    assert found.numbers["eps"] == 1e-8
    assert float(found.change.split("→")[1].split(",")[0]) < 1e-11


def test_a_rule_without_eps_is_left_alone() -> None:
    assert not CHECK(train(lambda params: torch.optim.SGD(params, lr=0.1), Scaled(1e-9)).evidence)


def evidence(below: float, end: float = 1.0, **facts: Any) -> Evidence:
    group = GroupFacts({"eps": 1e-4, "differentiable": False} | facts.pop("settings", {}), ("w",))
    dtype = facts.pop("dtype", "float32")
    probe = ParameterProbe(gradient=1e-4, zeros=0.5, update=1.0, below_eps=below)
    return Evidence(
        model=ModelFacts("Net", {"w": ParameterFacts("w", (10, 10), dtype)}),
        optimizer=OptimizerFacts("Adam", (group,), adaptive=True),
        steps=[Step(k, 1.0 if k < 11 else end, (0.1,)) for k in range(1, 21)],
        probes=[Probe(1, {"w": probe})],
        **facts,
    )


def test_gradients_of_zero_do_not_count() -> None:
    assert not CHECK(evidence(0.6))
    assert CHECK(evidence(0.9))


def test_small_gradients_after_the_loss_came_down_are_left_alone() -> None:
    assert not CHECK(evidence(0.9, end=0.01))


def test_an_eps_that_is_zero_in_float16_is_found_and_explains_what_is_not_finite() -> None:
    settings = {"eps": 1e-8}
    (found,) = CHECK(evidence(0.5, dtype="float16", settings=settings))
    assert (found.severity, found.where) == ("warning", "group 0")
    spoilt = evidence(0.5, dtype="float16", settings=settings, nonfinite=NonFinite(1, "weight"))
    assert CHECK(spoilt)[0].severity == "error"
    assert [each.code for each in diagnose(spoilt).findings][:2] == ["GD103", "GD101"]


def test_adam_on_parameters_in_float16_is_found_first() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net().half()

        def forward(self, inputs: Tensor) -> Tensor:
            return self.net(inputs.half()).float()

    found = train(rule(torch.optim.Adam), Half()).findings
    assert (found[0].code, found[0].severity) == ("GD103", "error")
    assert {each.code for each in found} == {"GD103", "GD101"}


def test_an_eps_that_float16_can_hold_and_rules_in_single_precision_are_left_alone() -> None:
    assert not CHECK(evidence(0.5, dtype="float16", settings={"eps": 1e-4}))
    assert not CHECK(evidence(0.5, dtype="bfloat16", settings={"eps": 1e-8}))
    assert not CHECK(evidence(0.5, dtype="float16", settings={"eps": 1e-8, "fused": True}))
