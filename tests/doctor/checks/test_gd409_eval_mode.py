import pytest
import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from watched import points, sgd

CHECK = find_check("GD409")


def trained(*between: nn.Module, forgotten: bool = True, frozen: bool = False) -> Evidence:
    """The evidence of 40 updates, with a validation after every ten that eval mode may outlast."""
    model = nn.Sequential(nn.Linear(4, 16), *between, nn.ReLU(), nn.Linear(16, 2))
    for layer in between:
        layer.requires_grad_(not frozen)
    loss_fn, (inputs, labels) = nn.CrossEntropyLoss(), points()
    optimizer = sgd(model.parameters())
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for step in range(40):
            optimizer.zero_grad()
            loss_fn(model(inputs[:32]), labels[:32]).backward()
            optimizer.step()
            if step % 10 == 9:
                model.eval()
                with torch.no_grad():
                    loss_fn(model(inputs[128:]), labels[128:])
                model.train(not forgotten)
    return watching.evidence


def test_batch_normalization_in_eval_mode_is_an_error() -> None:
    (found,) = CHECK(trained(nn.BatchNorm1d(16)))
    assert (found.code, found.severity, found.step) == ("GD409", "error", 11)
    assert found.numbers["updates"] == 30
    assert "model.train()" in found.change


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.GRU(16, 16, 2, dropout=0.2)])
def test_dropout_that_drops_nothing_is_a_warning(layer: nn.Module) -> None:
    wrapped = layer if isinstance(layer, nn.Dropout) else nn.Sequential(layer, First())
    (found,) = CHECK(trained(wrapped))
    assert found.severity == "warning"
    assert "nothing is dropped" in found.sentence


class First(nn.Module):
    def forward(self, outputs: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return outputs[0]


def test_a_model_that_is_put_back_into_training_mode_is_left_alone() -> None:
    assert not CHECK(trained(nn.BatchNorm1d(16), nn.Dropout(0.5), forgotten=False))


def test_modes_that_change_nothing_are_left_alone() -> None:
    assert not CHECK(trained(nn.LayerNorm(16), nn.Dropout(0.0)))
    assert not CHECK(trained(nn.BatchNorm1d(16, track_running_stats=False)))


def test_batch_normalization_frozen_on_purpose_is_left_alone() -> None:
    assert not CHECK(trained(nn.BatchNorm1d(16), frozen=True))
