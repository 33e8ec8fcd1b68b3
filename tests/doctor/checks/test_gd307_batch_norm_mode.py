from collections.abc import Callable

import pytest
import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from watched import points, sgd

CHECK = find_check("GD307")
INPUTS, LABELS = points()
LOSS = nn.CrossEntropyLoss()


def normed(scale: float = 1.0) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    with torch.no_grad():
        model[0].weight.mul_(scale)  # type: ignore[operator]
    return model


def nothing(model: nn.Module) -> None:
    """Leave the model as it is."""


def freeze(model: nn.Module) -> None:
    model[1].eval()  # type: ignore[index]


def trained(
    model: nn.Module, before: Callable[[nn.Module], object] = nothing, validate: str = "eval"
) -> Evidence:
    """The evidence of a loop that calls *before* before each pass and validates in some mode."""
    optimizer = sgd(model.parameters())
    with watch(model, optimizer, LOSS, overhead=1e9, at_exit=0) as watching:
        for _ in range(12):
            model.train(validate == "train")
            with torch.no_grad():
                LOSS(model(INPUTS[128:]), LABELS[128:])
            model.train()
            before(model)
            optimizer.zero_grad()
            LOSS(model(INPUTS[:128]), LABELS[:128]).backward()
            optimizer.step()
    return watching.evidence


def estimated(scale: float = 1.0) -> nn.Sequential:
    """A model whose running statistics are those of its inputs."""
    model = normed(scale)
    for _ in range(60):
        model(INPUTS)
    return model


def test_a_frozen_norm_that_never_saw_a_batch_is_found() -> None:
    (found,) = CHECK(trained(normed(), freeze))
    assert (found.code, found.where) == ("GD307", "1")
    assert found.change == "1.eval() → 1.train()"
    assert found.numbers["never"] == 1
    assert CHECK(trained(normed(20.0), freeze))[0].severity == "error"


def test_a_frozen_norm_with_statistics_that_do_not_fit_is_found() -> None:
    model = estimated()
    with torch.no_grad():
        model[0].weight.mul_(10.0)  # type: ignore[operator]
    (found,) = CHECK(trained(model, freeze))
    assert found.numbers["off"] > 5


def test_a_frozen_norm_with_statistics_that_fit_is_left_alone() -> None:
    assert not CHECK(trained(estimated(20.0), freeze))


def test_a_validation_in_training_mode_is_found() -> None:
    (found,) = CHECK(trained(normed(), validate="train"))
    assert (found.severity, found.numbers["training"]) == ("warning", 12)
    assert found.change.startswith("model.eval()")


@pytest.mark.parametrize("momentum", [0.0, 0.001])
def test_statistics_that_hardly_move_are_found(momentum: float) -> None:
    model = normed()
    model[1].momentum = momentum  # type: ignore[assignment]
    (found,) = CHECK(trained(model))
    assert found.change == f"momentum={momentum} → 0.1"
    assert found.numbers["left"] > 0.9


def test_norms_that_train_and_validate_in_their_modes_are_left_alone() -> None:
    assert not CHECK(trained(normed()))


def test_a_validation_in_training_mode_without_batch_norm_is_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 2))
    assert not CHECK(trained(model, validate="train"))


def test_a_model_that_is_in_evaluation_mode_as_a_whole_is_another_disease() -> None:
    assert not CHECK(trained(normed(), nn.Module.eval))
