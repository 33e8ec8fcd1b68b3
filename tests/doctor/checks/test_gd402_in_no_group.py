import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, find_check, watch
from watched import net, points, sgd, train

CHECK = find_check("GD402")


def head_only(model: nn.Sequential, *others: torch.optim.Optimizer) -> Evidence:
    """The evidence of a few updates by an optimizer of the last layer."""
    optimizer, loss_fn, (inputs, labels) = (
        sgd(model[-1].parameters()),
        nn.CrossEntropyLoss(),
        points(),
    )
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for _ in range(4):
            for each in (optimizer, *others):
                each.zero_grad()
            loss_fn(model(inputs), labels).backward()
            for each in (optimizer, *others):
                each.step()
    return watching.evidence


def test_parameters_that_the_optimizer_was_not_given_are_named() -> None:
    (found,) = CHECK(head_only(net()))
    assert (found.code, found.severity, found.where) == ("GD402", "warning", "0.weight")
    assert found.numbers["parameters"] == ["0.weight", "0.bias"]
    assert found.numbers["share"] == 80 / 114
    assert found.change == "SGD(…) → SGD(model.parameters())"


def test_parameters_that_are_frozen_or_cut_off_on_purpose_are_left_alone() -> None:
    frozen = net()
    frozen[0].requires_grad_(False)
    assert not CHECK(head_only(frozen))

    class Fixed(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            with torch.no_grad():
                return super().forward(inputs)

    assert not CHECK(head_only(nn.Sequential(Fixed(4, 8), nn.ReLU(), nn.Linear(8, 2))))


def test_parameters_of_another_optimizer_are_left_alone() -> None:
    model = net()
    other = torch.optim.Adam(model[0].parameters())
    assert not CHECK(head_only(model, other))


def test_parameters_that_are_added_later_are_left_alone() -> None:
    model = net()
    optimizer, loss_fn, (inputs, labels) = (
        sgd(model[2].parameters()),
        nn.CrossEntropyLoss(),
        points(),
    )
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for step in range(6):
            if step == 3:
                optimizer.add_param_group({"params": list(model[0].parameters())})
            model.zero_grad()
            loss_fn(model(inputs), labels).backward()
            optimizer.step()
    assert not CHECK(watching.evidence)


def test_a_whole_model_is_left_alone() -> None:
    assert not CHECK(train().evidence)
