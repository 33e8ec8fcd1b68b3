"""The optimizer belongs to the model that is watched, and the model may grow."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from thalweg.doctor import watch
from thalweg.errors import BadValue
from watched import net, points, sgd


def emptied(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = sgd(model.parameters())
    optimizer.param_groups.clear()
    return optimizer


OTHERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "of another model": lambda model: sgd(net().parameters()),
    "of nothing": lambda model: torch.optim.AdamW([{"params": []}]),
    "without groups": emptied,
}


@pytest.mark.parametrize("which", OTHERS)
def test_an_optimizer_that_updates_nothing_of_the_model_is_refused(which: str) -> None:
    model = net()
    with pytest.raises(BadValue, match="updates no parameter of this model"):
        watch(model, OTHERS[which](model))


@pytest.mark.parametrize("model", [nn.Flatten(), net().requires_grad_(False)])
def test_a_model_without_parameters_to_train_is_refused(model: nn.Module) -> None:
    with pytest.raises(BadValue, match="no parameter of the model requires a gradient"):
        watch(model, sgd([nn.Parameter(torch.zeros(1))]))


def test_a_layer_that_is_added_during_the_training_is_examined_with_the_others() -> None:
    model: Any = net()
    optimizer, loss_fn = sgd(model.parameters()), nn.CrossEntropyLoss()
    inputs, labels = points()
    with watch(model, optimizer, loss_fn, overhead=1e9, at_exit=60.0) as watching:
        for step in range(20):
            if step == 10:
                model.append(nn.Linear(2, 2))
                optimizer.add_param_group({"params": model[3].parameters()})
            optimizer.zero_grad()
            loss_fn(model(inputs), labels).backward()
            optimizer.step()
    facts = watching.evidence.model
    assert facts.parameters["3.weight"].groups == (1,)
    assert facts.modules["3"].kind == "Linear"
    assert "KeyError" not in watching.report()
    assert not watching.diagnosis.failed
