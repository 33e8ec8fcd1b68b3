"""What batch sizes cost is counted exactly, measured on `fit`, and leaves no trace.

Times differ from machine to machine, so that only how they were found is asserted.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from thalweg import optim
from thalweg.errors import BadType, BadValue
from thalweg.schedules import cosine
from thalweg.training import Cost, costs, fit

COUNT, WIDTH, HIDDEN = 30, 5, 7
FLOAT = 4


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(COUNT, WIDTH, generator=generator)
    return inputs, inputs[:, :1] ** 2


def model_of(*more: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.Tanh(), *more, nn.Linear(HIDDEN, 1))


def measured(batches: Any = ("all", 1, 8), model: nn.Module | None = None, **how: Any) -> Any:
    model = model or model_of()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    return costs(model, optimizer, nn.functional.mse_loss, data(), batches, **how)


@pytest.fixture(scope="module")
def three() -> tuple[Cost, ...]:
    return measured()


def test_the_three_variants_stand_in_the_order_asked_for(three) -> None:
    assert [cost.name for cost in three] == ["full batch", "stochastic", "mini-batch"]


def test_an_epoch_computes_every_gradient_once_in_more_or_fewer_updates(three) -> None:
    assert [cost.gradients for cost in three] == [30, 30, 30]
    assert [(cost.batch, cost.updates) for cost in three] == [(30, 1), (1, 30), (8, 4)]


def test_an_epoch_is_measured_where_it_is_short_and_else_extrapolated(three) -> None:
    assert [cost.extrapolated for cost in three] == [False, True, False]
    assert three[1].epoch_seconds == 30 * three[1].seconds
    assert not measured([1], updates=30)[0].extrapolated
    assert all(0 < cost.seconds <= 2 * cost.epoch_seconds for cost in three)


def test_the_memory_of_a_batch_is_that_of_its_inputs_and_targets(three) -> None:
    assert [cost.batch_bytes for cost in three] == [n * (WIDTH + 1) * FLOAT for n in (30, 1, 8)]


def test_each_saved_storage_is_counted_once_and_what_is_there_anyway_not_at_all(three) -> None:
    """Saved are tanh's result, which the next layer saves too, and the output, for the loss."""
    assert [cost.saved_bytes for cost in three] == [n * (HIDDEN + 1) * FLOAT for n in (30, 1, 8)]


def test_a_dropout_mask_is_counted(three) -> None:
    (cost,) = measured([8], model_of(nn.Dropout()))
    more = cost.saved_bytes - three[2].saved_bytes
    assert more in (8 * HIDDEN * each for each in (1, 1 + FLOAT, 2 * FLOAT))


class Squared(nn.MSELoss):
    """A loss that brings its own gradient, of which autograd saves nothing."""

    def gradient(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            return self(model(inputs), targets)


def test_a_loss_with_its_own_gradient_is_measured_by_it() -> None:
    model = model_of()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    (cost,) = costs(model, optimizer, Squared(), data(), [8])
    assert cost.saved_bytes == 0
    assert cost.batch_bytes == 8 * (WIDTH + 1) * FLOAT


OPTIMIZERS = {
    "ours": lambda params: optim.Adam(params, lr=cosine(0.1, steps=40)),
    "torch's": lambda params: torch.optim.Adam(params, lr=0.1),
}


def trained(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[list[float]]:
    fit(model, optimizer, nn.functional.mse_loss, data(), batch=8, epochs=2)
    return [value.flatten().tolist() for value in model.state_dict().values()]


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("before", [0, 2], ids=["fresh", "in the middle"])
def test_a_training_goes_on_as_if_nothing_had_been_measured(make, before) -> None:
    found = []
    for looks in (False, True):
        model = model_of(nn.BatchNorm1d(HIDDEN), nn.Dropout())
        optimizer = make(model.parameters())
        for _ in range(before):
            trained(model, optimizer)
        if looks:
            costs(model.eval(), optimizer, nn.functional.mse_loss, data(), ["all", 8])
            assert not model.training
            assert all(parameter.grad is None for parameter in model.parameters())
        found.append(trained(model, optimizer))
    assert found[0] == found[1]


BAD: dict[str, tuple[Any, Any, str]] = {
    "larger than the data": ([31], BadValue, "30 examples"),
    "none": ([0], BadValue, "batch=0"),
    "a word": (["most"], BadType, "batch='most'"),
    "a schedule": ([cosine(8, steps=3)], BadType, "batch=<schedule"),
}


@pytest.mark.parametrize(("batches", "kind", "words"), BAD.values(), ids=BAD)
def test_sizes_that_make_no_sense_are_refused_before_anything_is_measured(
    batches, kind, words
) -> None:
    model = model_of()
    calls: list[Any] = []
    model.register_forward_pre_hook(lambda *call: calls.append(call))
    with pytest.raises(kind, match=words):
        measured(["all", *batches], model)
    assert not calls


def test_a_loader_is_refused_because_it_cuts_its_own_batches() -> None:
    model = model_of()
    loader = DataLoader(TensorDataset(*data()))
    with pytest.raises(BadType, match="pass the data set itself"):
        costs(model, optim.SGD(model.parameters()), nn.functional.mse_loss, loader)


def test_a_training_that_diverges_is_said_to_and_put_back() -> None:
    model = model_of()
    before = [parameter.clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
    with (
        pytest.warns(UserWarning, match="diverged"),
        pytest.raises(BadValue, match="batch='all' diverged"),
    ):
        costs(model, optimizer, nn.functional.mse_loss, data(), ["all"])
    assert all(map(torch.equal, before, model.parameters()))
