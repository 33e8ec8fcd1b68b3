"""What `fit` cannot work with is said before the model is touched, and not by a traceback."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from trained import data, equal, kept, model

from thalweg.errors import BadType, BadValue
from thalweg.training import EarlyStopping, Ema, InOrder, evaluate, fit

entropy = nn.functional.cross_entropy
twice = Ema(0.9)

REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no module": ({"model": entropy}, BadType, "expected a module"),
    "an optimizer by name": ({"optimizer": "adam"}, BadType, "thalweg.Optimizer"),
    "a class of strategies": ({"strategies": [EarlyStopping]}, BadType, "one that is made"),
    "a strategy alone": ({"strategies": Ema(0.9)}, BadType, "expected a list"),
    "a strategy twice": ({"strategies": [twice, twice]}, BadValue, "given twice"),
    "an order by name": ({"order": "shuffled"}, BadType, "InOrder"),
    "a class of orders": ({"order": InOrder}, BadType, "one that is made"),
    "checkpoints or not": ({"checkpoints": True}, BadType, "expected a folder"),
    "a negative seed": ({"seed": -1}, BadValue, "seed=-1"),
    "a seed in words": ({"seed": "lucky"}, BadType, "seed='lucky'"),
    "fewer than none to watch": ({"watch": -1}, BadValue, "watch=-1"),
    "a loss without a gradient": (
        {"loss": lambda outputs, targets: entropy(outputs, targets).detach()},
        BadValue,
        "the loss has no gradient",
    ),
}


@pytest.mark.parametrize(("how", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_of_the_wrong_kind_is_refused(how, kind, words) -> None:
    made = model()
    before = kept(made)
    given = {"model": made, "optimizer": torch.optim.SGD(made.parameters(), 0.1), "loss": entropy}
    with pytest.raises(kind, match=words):
        fit(train=data(), **{**given, **how})
    assert equal(kept(made), before)


def test_an_optimizer_that_wants_a_closure_is_refused() -> None:
    made = model()
    with pytest.raises(BadValue, match="LBFGS evaluates the model several times"):
        fit(made, torch.optim.LBFGS(made.parameters()), entropy, data())


def test_an_optimizer_of_another_model_is_refused() -> None:
    other = torch.optim.SGD(model().parameters(), 0.1)
    with pytest.raises(BadValue, match="made of another one"):
        fit(model(), other, entropy, data())


def test_a_model_that_is_frozen_is_refused() -> None:
    made = model().requires_grad_(False)
    with pytest.raises(BadValue, match="no parameter of the model requires a gradient"):
        fit(made, torch.optim.SGD(made.parameters(), 0.1), entropy, data())


def test_a_model_that_is_frozen_in_part_trains() -> None:
    made = model()
    made[0].requires_grad_(False)
    first, last = made[0].weight.clone(), made[4].weight.clone()
    fit(made, torch.optim.SGD(made.parameters(), 0.1), entropy, data())
    assert torch.equal(made[0].weight, first)
    assert not torch.equal(made[4].weight, last)


class Once:
    """An iterable that has nothing more to give the second time."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __iter__(self) -> Iterator:
        self.times -= 1
        return iter([data(8)] * (self.times >= 0))


class Nothing(IterableDataset):
    def __iter__(self) -> Iterator:
        return iter(())


@pytest.mark.parametrize("times", [0, 1, 2])
def test_an_iterable_that_runs_dry_is_told(times: int) -> None:
    made = model()
    optimizer = torch.optim.SGD(made.parameters(), 0.1)
    with pytest.raises(BadValue, match=f"epoch {times + 1} of the training data yields no batch"):
        fit(made, optimizer, entropy, Once(times), epochs=3)


def test_an_empty_iterable_data_set_is_refused() -> None:
    made = model()
    with pytest.raises(BadValue, match="is empty"):
        fit(made, torch.optim.SGD(made.parameters(), 0.1), entropy, DataLoader(Nothing(), 4))


def test_a_loader_of_single_examples_is_refused() -> None:
    made = model()[0]
    pairs = torch.utils.data.TensorDataset(*data())
    loader = DataLoader(pairs, batch_size=None)
    with pytest.raises(BadType, match="yields single examples"):
        fit(made, torch.optim.SGD(made.parameters(), 0.1), entropy, loader)


def test_no_examples_have_no_loss() -> None:
    for nothing in (Once(0), (torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64))):
        with pytest.raises(BadValue, match="yield no examples"):
            evaluate(model(), entropy, nothing)


def test_examples_cannot_be_evaluated_fewer_than_one_at_a_time() -> None:
    with pytest.raises(BadValue, match="batch=-1"):
        evaluate(model(), entropy, data(), batch=-1)


def test_arrays_read_backwards_train_as_their_copies_do() -> None:
    inputs, targets = (part.numpy()[::-1] for part in data())
    losses = []
    for pair in ((inputs, targets), (inputs.copy(), np.array(targets))):
        made = model()
        found = fit(made, torch.optim.SGD(made.parameters(), 0.1), entropy, pair, batch=10)
        losses.append(found.history[-1].train_loss)
    assert losses[0] == losses[1]
