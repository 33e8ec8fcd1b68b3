from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.optim import lr_scheduler as lrs

from scheduled import scheduled
from thalweg.doctor import Evidence, find_check, watch
from thalweg.doctor.evidence import (
    Curvature,
    GroupFacts,
    ModelFacts,
    ModuleFacts,
    OptimizerFacts,
    ParameterFacts,
    ParameterProbe,
    Probe,
    Step,
)

CHECK = find_check("GD407")
JUMPING = (2.3, 2.6, 3.8, 4.1, 3.9, 3.2, *np.linspace(3.0, 1.0, 94))
CALM = tuple(np.linspace(2.3, 1.0, 100))


def evidence(
    losses: tuple[float, ...] = JUMPING, rates: tuple[float, ...] = (0.01,) * 100,
    family: str = "attention", rule: str = "Adam", stable: float = 0.02, moved: float = 0.02,
) -> Evidence:  # fmt: skip
    module = ModuleFacts("inner", "Inner", family, parameters=("weight",))  # type: ignore[arg-type]
    parameters = {"weight": ParameterFacts("weight", (2, 2))}
    first = Probe(1, {"weight": ParameterProbe(gradient=1.0, weight=1.0, update=moved)})
    return Evidence(
        model=ModelFacts("Net", parameters, {"inner": module}, ("inner",)),
        optimizer=OptimizerFacts(rule, (GroupFacts(),), adaptive=rule == "Adam"),
        steps=[Step(k + 1, a, (b,)) for k, (a, b) in enumerate(zip(losses, rates, strict=True))],
        probes=[first],
        curvature=Curvature(100, 1.0, 0.0, 0.0, (stable, stable)),
    )


def test_a_loss_that_jumps_at_the_full_rate_and_comes_down_again_is_found() -> None:
    (found,) = CHECK(evidence())
    assert (found.code, found.severity) == ("GD407", "warning")
    assert found.change == "LinearLR(optimizer, start_factor=0.01, total_iters=10) before the rest"


def test_a_rate_that_rises_or_a_loss_that_falls_at_once_is_left_alone() -> None:
    assert not CHECK(evidence(rates=tuple(np.linspace(0.0001, 0.01, 100))))
    assert not CHECK(evidence(losses=CALM))


def test_a_first_update_that_changes_weights_by_much_and_a_loss_that_stays_are_an_error() -> None:
    (found,) = CHECK(evidence(losses=(2.3,) * 100, moved=0.1))
    assert found.severity == "error"
    assert (
        "changed weights by 10% at once, and left the loss where guessing has it" in found.sentence
    )
    assert not CHECK(evidence(losses=(2.3,) * 100, moved=0.001))
    assert not CHECK(evidence(losses=CALM, moved=0.1))


def test_a_deep_transformer_learns_by_a_high_rate_only_if_that_is_warmed_up() -> None:
    cold, warm = transformer(1), transformer(60)
    assert [each.severity for each in CHECK(cold)] == ["error"]
    assert not CHECK(warm)
    assert min(warm.losses.medians(8)) < 1.5 < 2.0 < min(cold.losses.medians(8))


def transformer(warm_up: int) -> Evidence:
    """The evidence of six layers with late normalization at the same rate after a warm-up."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
    model = nn.Sequential(nn.Linear(4, 32), encoder, nn.Flatten(), nn.Linear(4 * 32, 8))
    optimizer, loss_fn = torch.optim.Adam(model.parameters(), lr=0.02), nn.CrossEntropyLoss()
    scheduler = lrs.LinearLR(optimizer, 1 / warm_up, total_iters=warm_up)
    inputs = torch.randn(512, 4, 4)
    labels = (inputs.mean(1)[:, :3] > 0).long() @ torch.tensor([1, 2, 4])
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for _ in range(80):
            rows = torch.randint(512, (32,))
            optimizer.zero_grad()
            loss_fn(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
            scheduler.step()
    return watching.evidence


def test_other_models_and_rules_are_left_alone() -> None:
    assert not CHECK(evidence(family="convolution"))
    assert not CHECK(evidence(rule="SGD"))


def test_a_rate_that_is_too_large_to_the_end_is_another_disease() -> None:
    assert not CHECK(evidence(stable=0.001))
    assert not CHECK(evidence(losses=(*CALM[:10], *np.linspace(2.3, 5.0, 90))))


def test_a_warm_up_that_is_planned_but_over_before_the_first_update_is_found() -> None:
    def resumed(optimizer: torch.optim.Optimizer) -> lrs.LRScheduler:
        scheduler = lrs.LinearLR(optimizer, 0.01, total_iters=50)
        scheduler.last_epoch = 1000
        for group in optimizer.param_groups:
            group["lr"] = 0.05
        return scheduler

    (found,) = CHECK(scheduled(resumed, updates=60))
    assert found.numbers["planned"] == 50


def test_a_warm_up_that_is_taken_is_left_alone() -> None:
    assert not CHECK(scheduled(lambda each: lrs.LinearLR(each, 0.01, total_iters=30), updates=60))


def test_a_loss_that_never_came_back_is_no_matter_of_the_first_updates() -> None:
    lost = (2.3, 40.0, 60.0, 55.0, 50.0, *np.linspace(50.0, 19.0, 95))
    assert not CHECK(evidence(losses=lost, moved=0.5))
    back = (2.3, 40.0, 60.0, 55.0, 50.0, *np.linspace(50.0, 1.0, 95))
    assert CHECK(evidence(losses=back, moved=0.5))


def test_a_warm_up_that_ends_where_it_begins_is_found() -> None:
    (found,) = CHECK(scheduled(lambda each: lrs.LinearLR(each, 1.0, total_iters=50)))
    assert found.change == "LinearLR(start_factor=1.0) → LinearLR(start_factor=0.01)"


def test_updates_that_replace_the_weights_are_the_rates_fault_and_not_the_first_ones() -> None:
    assert CHECK(evidence(losses=(2.3,) * 100, moved=0.1))
    seen = evidence(losses=(2.3,) * 100, moved=0.5)
    first = {f"{k}.weight": seen.probes[0].parameters["weight"] for k in range(3)}
    modules = {"inner": replace(seen.model.modules["inner"], parameters=(*first,))}
    parameters = {name: ParameterFacts(name, (2, 2)) for name in first}
    model = replace(seen.model, modules=modules, parameters=parameters)
    assert not CHECK(replace(seen, model=model, probes=[Probe(1, first)]))
