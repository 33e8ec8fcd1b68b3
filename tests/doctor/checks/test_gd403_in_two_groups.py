from collections.abc import Sequence

import pytest
import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from watched import net, points, sgd, train

CHECK = find_check("GD403")


def stepped(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> Evidence:
    """The evidence of a few updates by several optimizers, the first of which is watched."""
    loss_fn, (inputs, labels) = nn.CrossEntropyLoss(), points()
    with watch(model, optimizers[0], loss_fn, at_exit=0) as watching:
        for _ in range(4):
            model.zero_grad()
            loss_fn(model(inputs), labels).backward()
            for each in optimizers:
                each.step()
    return watching.evidence


@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate")
def test_a_parameter_that_is_listed_twice_is_an_error() -> None:
    (found,) = CHECK(train(lambda params: sgd([*(each := [*params]), each[0]])).evidence)
    assert (found.code, found.severity, found.where) == ("GD403", "error", "0.weight")
    assert "2 times in group 0" in found.sentence


def test_a_second_optimizer_that_steps_the_same_parameters_is_an_error() -> None:
    model = net()
    second = torch.optim.Adam(model[2].parameters())
    (found,) = CHECK(stepped(model, [sgd(model.parameters()), second]))
    assert (found.severity, found.where) == ("error", "2.weight")
    assert found.change == "SGD or Adam, not both, for 2.weight and 1 more"


def test_two_optimizers_of_two_halves_are_left_alone() -> None:
    model = net()
    assert not CHECK(stepped(model, [sgd(model[0].parameters()), sgd(model[2].parameters())]))


def test_a_second_optimizer_that_never_steps_is_left_alone() -> None:
    model = net()
    idle = torch.optim.Adam(model.parameters())
    assert not CHECK(train(model=model).evidence)
    assert idle.param_groups
