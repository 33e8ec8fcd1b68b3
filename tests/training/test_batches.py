"""Batches are cut as asked for, and gradients of several add up to those of a larger one."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from thalweg.errors import BadType, BadValue
from thalweg.schedules import linear
from thalweg.training import InOrder, Strategy, fit
from thalweg.training.data.batches import as_batches
from thalweg.training.data.forms import Stream, as_data

COUNT, WIDTH = 22, 5


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(COUNT, n, generator=generator).double() for n in (WIDTH, 1))  # type: ignore[return-value]


class Gradients(Strategy):
    """Keeps the gradient of every update."""

    def __init__(self) -> None:
        self.weights: list[Tensor] = []

    def after_update(self, training) -> None:
        self.weights.append(training.model.weight.grad.clone())


def gradients(**how) -> list[Tensor]:
    torch.manual_seed(0)
    model, kept = nn.Linear(WIDTH, 1).double(), Gradients()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    order = InOrder()
    fit(model, optimizer, nn.functional.mse_loss, data(), strategies=[kept], order=order, **how)
    return kept.weights


def largest_error(rows: slice) -> Tensor:
    """How far rounding can move the mean gradient of these rows, in whichever order it is summed.

    A sum of n products errs by at most n u times the sum of their sizes, u the unit roundoff, to
    first order; the residual is one of WIDTH + 2 terms, times 2 and an input, and the mean sums
    over the rows, divides, and is weighted by its share.
    """
    torch.manual_seed(0)
    model = nn.Linear(WIDTH, 1).double()
    inputs, targets = (part[rows] for part in data())
    with torch.no_grad():
        sizes = inputs.abs() @ model.weight.abs().T + model.bias.abs() + targets.abs()
    terms = 2 * sizes * inputs.abs()
    roundings = len(inputs) + WIDTH + 2 + 5
    return roundings * torch.finfo(torch.float64).eps / 2 * terms.mean(0, keepdim=True)


@pytest.mark.parametrize(("batch", "accumulate"), [(4, 6), (5, 5), (1, 22), (11, 2), (7, 9)])
def test_accumulated_gradients_are_those_of_one_larger_batch(batch, accumulate) -> None:
    """Also where the last batch is smaller: it counts by its examples."""
    (found,), (expected,) = gradients(batch=batch, accumulate=accumulate), gradients(batch="all")
    assert ((found - expected).abs() <= 2 * largest_error(slice(None))).all()


def test_an_epoch_of_accumulated_updates_is_that_of_larger_batches() -> None:
    found, expected = gradients(batch=3, accumulate=3), gradients(batch=9)
    assert len(found) == len(expected) == 3
    for k, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert ((one - other).abs() <= 2 * largest_error(slice(9 * k, 9 * k + 9))).all()


class Sizes(nn.Linear):
    """Notes how many examples it is given in training."""

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.__dict__.setdefault("sizes", []).append(len(inputs))
        return super().forward(inputs)


def sizes(**how) -> list[int]:
    model = Sizes(WIDTH, 1).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    fit(model, optimizer, nn.functional.mse_loss, data(), **how)
    return model.__dict__["sizes"]


CUTS = [
    ({"batch": 5}, [5, 5, 5, 5, 2]),
    ({"batch": 11, "epochs": 2}, [11, 11, 11, 11]),
    ({"batch": "all", "epochs": 2}, [22, 22]),
    ({"batch": 1}, [1] * 22),
    ({"batch": linear(2, 8, steps=4)}, [2, 4, 6, 8, 2]),
    ({"batch": linear(2, 8, steps=4), "epochs": 2}, [2, 4, 6, 8, 2, 8, 8, 6]),
    ({"batch": 4, "accumulate": 4}, [4, 4, 4, 4, 4, 2]),
]


@pytest.mark.parametrize(("how", "expected"), CUTS)
def test_batches_are_of_the_size_asked_for_but_for_the_last(how, expected) -> None:
    assert sizes(**how) == expected


REFUSED = [
    ({"batch": 0}, BadValue, "batch=0"),
    ({"batch": 23}, BadValue, "more than the 22 examples"),
    ({"batch": 2.0}, BadType, "batch=2.0"),
    ({"batch": "most"}, BadType, "batch='most'"),
    ({"batch": linear(1, 23, steps=4)}, BadValue, "from 1 to 23"),
    ({"batch": linear(4, 0, steps=4)}, BadValue, "from 0 to 4"),
    ({"accumulate": 0}, BadValue, "accumulate=0"),
    ({"epochs": 0}, BadValue, "epochs=0"),
]


@pytest.mark.parametrize(("how", "kind", "words"), REFUSED)
def test_sizes_that_make_no_sense_are_refused_before_the_first_update(how, kind, words) -> None:
    model = nn.Linear(WIDTH, 1).double()
    model.register_forward_pre_hook(lambda *_: pytest.fail("training had begun"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(kind, match=words):
        fit(model, optimizer, nn.functional.mse_loss, data(), **{"batch": 2, **how})


def test_an_empty_training_set_is_refused() -> None:
    model = nn.Linear(WIDTH, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(BadValue, match="empty"):
        fit(model, optimizer, nn.functional.mse_loss, (torch.zeros(0, WIDTH), torch.zeros(0, 1)))


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("size", ["all", 1, 5, 22])
@pytest.mark.parametrize("loader", [False, True])
def test_they_say_how_many_updates_an_epoch_has(loader, size, accumulate) -> None:
    cut = DataLoader(TensorDataset(*data()), batch_size=COUNT if size == "all" else size)
    batches = as_batches(as_data(cut if loader else data()), size, None, 0, accumulate)
    assert batches.updates_per_epoch == len(list(batches.epoch(0, 0, 0)))


def test_they_do_not_say_it_where_nobody_knows() -> None:
    endless = as_batches(Stream(iter([])), 1, None, 0, 1)
    growing = as_batches(as_data(data()), linear(2, 9, steps=5), None, 0, 1)
    assert (endless.updates_per_epoch, growing.updates_per_epoch) == (None, None)
