"""Processes train one model in shared memory; one that is lost ends the training with an error."""

import os
import signal
import time
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.parallel import WorkerLost, hogwild_fit

WORDS, USED, LENGTH = 60, 40, 5


def bags(rows: int = 600):
    """Which of three hidden groups do most of these words belong to? The last words never occur."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, USED, (rows, LENGTH), generator=generator)
    return inputs, (inputs % 3).mode(dim=1).values


def words() -> nn.EmbeddingBag:
    torch.manual_seed(1)
    return nn.EmbeddingBag(WORDS, 3, mode="sum", sparse=True)


class Deep(nn.Module):
    """A dense layer over the sparse one, with random numbers in between."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        bag = nn.EmbeddingBag(WORDS, 8, mode="sum")
        self.layers = nn.Sequential(bag, nn.Dropout(0.1), nn.Linear(8, 3))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.layers(rows)


def test_workers_train_one_model_and_touch_only_the_rows_that_occur() -> None:
    inputs, targets = bags()
    model = words()
    before = model.weight.detach().clone()
    train, valid = (inputs[:500], targets[:500]), (inputs[500:], targets[500:])
    result = hogwild_fit(
        model, "adagrad", cross_entropy, train, valid, batch=8, epochs=4, lr=0.3, seed=3
    )
    first, *_, last = result.history
    assert last.running_loss < 0.5 * first.running_loss
    assert last.valid_accuracy is not None
    assert last.valid_accuracy > 0.8
    assert result.updates == (4 * 32, 4 * 32)
    assert (last.updates, last.examples) == (256, 2000)
    assert result.rates == pytest.approx([0.3, 0.27, 0.243, 0.2187])
    assert torch.equal(model.weight[USED:], before[USED:])
    state = result.optimizer.state[model.weight]
    assert (state["sum"][USED:] == 0).all()
    assert 2 <= state["step"] <= 256
    assert not result.diverged


@pytest.mark.long
def test_dense_gradients_are_shared_as_well() -> None:
    result = hogwild_fit(Deep(), "adam", cross_entropy, bags(), batch=20, epochs=3, lr=0.02)
    assert result.history[-1].running_loss < 0.8 * result.history[0].running_loss
    assert result.history[-1].valid_loss is None


def in_worker() -> bool:
    return torch.multiprocessing.parent_process() is not None


def killed(outputs, targets):
    if in_worker():
        os.kill(os.getpid(), signal.SIGKILL)
    return cross_entropy(outputs, targets)


def failing(outputs, targets):
    if in_worker():
        raise ArithmeticError("a sum that does not add up")
    return cross_entropy(outputs, targets)


def hanging(outputs, targets):
    if in_worker():
        time.sleep(600)
    return cross_entropy(outputs, targets)


@pytest.mark.parametrize(
    ("loss", "words_of_error", "timeout"),
    [
        (killed, "was killed by signal 9", 100.0),
        (failing, "a sum that does not add up", 100.0),
        pytest.param(
            hanging, "nothing was heard of worker 0 for 6 seconds", 6.0, marks=pytest.mark.long
        ),
    ],
)
def test_a_worker_that_is_lost_ends_the_training(loss, words_of_error, timeout) -> None:
    before = torch.multiprocessing.active_children()
    start = time.monotonic()
    with pytest.raises(WorkerLost, match=words_of_error):
        hogwild_fit(words(), "sgd", loss, bags(), workers=1, timeout=timeout)
    assert time.monotonic() - start < 60
    assert torch.multiprocessing.active_children() == before


def no_gradient(outputs, targets):
    return cross_entropy(outputs, targets).detach()


@pytest.mark.parametrize(
    ("changes", "kind", "words_of_error"),
    [
        ({"workers": 0}, BadValue, "workers=0"),
        ({"workers": 601}, BadValue, "601 are more than the 600 examples"),
        ({"batch": 601}, BadValue, "batch=601"),
        ({"batch": "all"}, BadType, "batch='all'"),
        ({"epochs": 0}, BadValue, "epochs=0"),
        ({"back_off": 1.5}, BadValue, "back_off=1.5"),
        ({"timeout": 0}, BadValue, "timeout=0"),
        ({"rule": "adgrad"}, UnknownName, "Did you mean 'adagrad'"),
        ({"beta": 0.9}, UnknownName, "no hyperparameter 'beta'"),
        ({"lr": -1.0}, BadValue, "lr"),
        ({"lr": "fast"}, BadType, "lr='fast'"),
        ({"model": 3}, BadType, "expected a module"),
        ({"model": nn.Linear(3, 3, device="meta")}, BadValue, "on meta"),
        ({"loss": no_gradient}, BadValue, "no gradient"),
        ({"train": DataLoader(TensorDataset(*bags()))}, BadType, "batches of its own"),
        ({"train": bags(0)}, BadValue, "empty"),
        ({"loss": lambda outputs, targets: cross_entropy(outputs, targets)}, BadType, "top of a"),
    ],
)
def test_what_cannot_work_is_refused_before_a_worker_starts(changes, kind, words_of_error) -> None:
    given: dict[str, Any] = {
        "model": words(),
        "rule": "adagrad",
        "loss": cross_entropy,
        "train": bags(),
    }
    with pytest.raises(kind, match=words_of_error):
        hogwild_fit(**{**given, **changes})
    assert not torch.multiprocessing.active_children()
