import torch

from thalweg.doctor import Evidence, find_check
from thalweg.doctor.evidence import GroupFacts, ModelFacts, OptimizerFacts, ParameterFacts
from watched import train

CHECK = find_check("GD404")
MODEL = ModelFacts("Net", {"weight": ParameterFacts("weight", (2, 2))})


def evidence(adaptive: bool, decay: str, weight_decay: float) -> Evidence:
    group = GroupFacts({"lr": 1e-3, "weight_decay": weight_decay}, ("weight",))
    optimizer = OptimizerFacts("Adam", (group,), adaptive, decay)  # type: ignore[arg-type]
    return Evidence(model=MODEL, optimizer=optimizer)


def test_adam_with_weight_decay_is_told_to_be_adamw() -> None:
    watch = train(lambda params: torch.optim.Adam(params, lr=1e-3, weight_decay=0.1))
    (found,) = CHECK(watch.evidence)
    assert (found.code, found.severity, found.where) == ("GD404", "warning", "group 0")
    assert found.change == "Adam(weight_decay=0.1) → AdamW(weight_decay=0.01)"
    assert found.numbers == {"weight_decay": 0.1}


def test_adamw_is_left_alone_though_torch_derives_it_from_adam() -> None:
    assert not CHECK(train(lambda params: torch.optim.AdamW(params, weight_decay=0.1)).evidence)


def test_only_an_adaptive_rule_with_l2_decay_above_nothing_is_sick() -> None:
    assert CHECK(evidence(True, "l2", 0.01))
    assert not CHECK(evidence(True, "l2", 0.0))
    assert not CHECK(evidence(True, "decoupled", 0.01))
    assert not CHECK(evidence(False, "l2", 0.01))
