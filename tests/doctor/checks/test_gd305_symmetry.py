import torch
from torch import nn

from thalweg.doctor import find_check
from watched import net, sgd, train

CHECK = find_check("GD305")


def layered(constant: float | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2)
    )
    if constant is not None:
        for each in model.parameters():
            nn.init.constant_(each, constant)
    return model


def test_a_constant_initialization_is_one_unit_a_layer() -> None:
    for make in (sgd, torch.optim.Adam):
        (found,) = CHECK(train(make, layered(0.1)).evidence)
        assert (found.code, found.severity) == ("GD305", "error")
        assert (found.numbers["units"], found.numbers["distinct"]) == (16, 1)
        assert found.numbers["weights"] == ["0.weight", "2.weight"]
        assert found.change == "nn.init.kaiming_normal_(0.weight), and so 1 more"


def test_a_layer_that_was_widened_by_copies_is_found() -> None:
    model = layered()
    first, second = dict(model[0].named_parameters()), dict(model[2].named_parameters())
    with torch.no_grad():
        for each in (*first.values(), second["weight"].T):
            each[8:] = each[:8]
    (found,) = CHECK(train(sgd, model).evidence)
    assert (found.severity, found.where, found.numbers["distinct"]) == ("warning", "0", 8)


def test_random_weights_are_left_alone() -> None:
    assert not CHECK(train(sgd, layered()).evidence)


def test_a_constant_last_layer_is_left_alone() -> None:
    model = net()
    nn.init.constant_(model[2].weight, 0.1)  # type: ignore[arg-type]
    assert not CHECK(train(sgd, model).evidence)


def test_copies_that_feed_into_different_weights_part_and_are_left_alone() -> None:
    model = layered()
    nn.init.constant_(model[0].weight, 0.1)  # type: ignore[arg-type]
    assert not CHECK(train(sgd, model).evidence)
