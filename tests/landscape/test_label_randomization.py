"""What can be learned by heart is told from what cannot, and nothing else changes by asking."""

import os
import signal
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from thalweg import problems
from thalweg.errors import BadType, BadValue
from thalweg.landscape import LabelRandomization, label_randomization
from thalweg.problems.perceptron import perceptron

ADAM: Any = partial(torch.optim.Adam, lr=0.01)
SGD: Any = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
NOTHING: Any = None


def digits(count: int = 200) -> tuple[Any, Any]:
    train: Any = problems.load("digits").train
    return train.inputs[:count], train.targets[:count]


@pytest.fixture(scope="module")
def wide() -> LabelRandomization:
    return label_randomization(perceptron(64, 128, 10)(0), cross_entropy, digits(), ADAM, epochs=30)


def test_a_wide_network_memorizes_and_takes_longer_for_it(wide):
    assert wide.learns
    assert wide.memorizes
    assert wide.true.accuracies[-1] > 0.99 < wide.shuffled.accuracies[-1]
    assert wide.true.epochs_to(0.9) < wide.shuffled.epochs_to(0.9)
    assert len(wide.true.losses) == len(wide.shuffled.fitted) == 31


def test_both_trainings_begin_at_the_weights_of_the_model(wide):
    inputs, targets = digits()
    with torch.no_grad():
        expected = cross_entropy(perceptron(64, 128, 10)(0)(inputs), targets).item()
    assert wide.true.losses[0] == pytest.approx(expected)
    assert wide.shuffled.losses[0] == pytest.approx(expected, rel=0.1)
    assert wide.true.fitted[0] < 0.3
    assert wide.shuffled.fitted[0] < 0.1


def test_a_narrow_network_learns_without_memorizing():
    inputs, targets = digits(500)
    found = label_randomization(
        perceptron(64, 10)(0), cross_entropy, (inputs, targets), ADAM, epochs=15, batch=50
    )
    assert found.learns
    assert not found.memorizes
    assert found.shuffled.epochs_to(0.9) is None


def test_labels_most_of_which_are_the_same_are_not_memorized_by_saying_so():
    inputs = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    targets = (torch.arange(200) % 25 == 0).long()
    found = label_randomization(nn.Linear(3, 2), cross_entropy, (inputs, targets), SGD, epochs=5)
    assert found.shuffled.accuracies is not None
    assert found.shuffled.accuracies[-1] == pytest.approx(0.96, abs=0.01)
    assert not found.memorizes


def test_a_regression_that_only_learns_the_mean_has_memorized_nothing():
    torch.manual_seed(0)
    inputs = torch.randn(100, 4)
    targets = 100 + inputs @ torch.ones(4, 1)
    slow: Any = partial(torch.optim.SGD, lr=0.05)
    line = label_randomization(nn.Linear(4, 1), mse_loss, (inputs, targets), slow, epochs=40)
    assert line.true.accuracies is None
    assert line.shuffled.losses[-1] < 0.01 * line.shuffled.losses[0]
    assert line.learns
    assert not line.memorizes


def test_a_regression_learned_by_heart_is_memorized():
    torch.manual_seed(0)
    data = (torch.randn(20, 30), torch.randn(20, 1))
    model = nn.Sequential(nn.Linear(30, 64), nn.Tanh(), nn.Linear(64, 1))
    assert label_randomization(model, mse_loss, data, ADAM, epochs=60, batch=20).memorizes


def test_the_answer_comes_from_the_seed(wide):
    data, model = digits(60), perceptron(64, 10)(0)
    first, again, other = (
        label_randomization(model, cross_entropy, data, SGD, epochs=2, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first.shuffled != other.shuffled


def test_optimizers_that_call_the_loss_themselves_are_taken():
    data = (torch.randn(30, 3), torch.randn(30, 1))
    found = label_randomization(
        nn.Linear(3, 1), mse_loss, data, torch.optim.LBFGS, epochs=3, batch=30
    )
    assert found.true.losses[-1] < found.true.losses[0]


def test_batch_normalization_never_meets_a_single_example():
    model = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    found = label_randomization(model, cross_entropy, digits(33), SGD, epochs=2, batch=32)
    assert found.true.losses[-1] < found.true.losses[0]


class Interrupting(nn.Module):
    """Batch normalization and dropout, and the key Ctrl-C in the middle of a training."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 10)
        )
        self.calls, self.after = 0, after

    def forward(self, inputs):
        self.calls += 1
        if self.calls == self.after:
            os.kill(os.getpid(), signal.SIGINT)
        return self.layers(inputs)


@pytest.fixture
def interruptible():
    """Let Ctrl-C interrupt, which processes that run tests for another one may ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("after", [1000, 10, 3])
@pytest.mark.usefixtures("interruptible")
def test_nothing_changes_neither_at_the_end_nor_at_ctrl_c(after):
    model = Interrupting(after).train()
    model.layers[2].eval()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    modes, state = [module.training for module in model.modules()], torch.get_rng_state()
    handler = signal.getsignal(signal.SIGINT)
    ask = partial(label_randomization, model, cross_entropy, digits(64), SGD, epochs=3)
    if after == 1000:
        ask()
    else:
        with pytest.raises(KeyboardInterrupt):
            ask()
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    ("loss", "data", "make", "options", "error", "message"),
    [
        (cross_entropy, digits(9), NOTHING, {}, BadType, "make_optimizer is a NoneType"),
        (cross_entropy, digits(9), list, {}, BadType, "returned a list, no optimizer"),
        (cross_entropy, digits(9), ADAM, {"epochs": 0}, BadValue, "epochs=0"),
        (cross_entropy, digits(9), ADAM, {"level": 2.0}, BadValue, "level=2.0"),
        (cross_entropy, [], ADAM, {}, BadValue, "hold no examples"),
        (cross_entropy, digits(1), ADAM, {}, BadValue, "all targets are the same"),
        (cross_entropy, [({"a": torch.ones(2, 64)}, [1, 2])], ADAM, {}, BadType, "be tensors"),
        (nn.CrossEntropyLoss(reduction="none"), digits(9), ADAM, {}, BadValue, "reduction="),
        (
            lambda z, y: cross_entropy(z, y) / 0, digits(9), ADAM, {}, BadValue,
            "the loss is inf at this point",
        ),
        (
            cross_entropy, digits(64), partial(torch.optim.SGD, lr=1e38), {}, BadValue,
            "the loss is (nan|inf) after . epochs; give the optimizer a smaller",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(loss, data, make, options, error, message):
    with pytest.raises(error, match=message):
        label_randomization(perceptron(64, 10)(0), loss, data, make, **options)
