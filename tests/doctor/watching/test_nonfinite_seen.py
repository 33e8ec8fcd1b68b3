"""The first number that is not finite is named: input, target, module, weight, gradient, step."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from thalweg.doctor import Watch
from thalweg.doctor.evidence import NonFinite
from watched import net, points, sgd

Change = Callable[[nn.Module, Tensor], Tensor]


class Logarithm(nn.Module):
    """Takes a logarithm, of the absolute value until it is told otherwise."""

    safe = True

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.log(inputs.abs() + 1 if self.safe else inputs)


class Root(nn.Module):
    """A root with a safe value and, once told, an infinite slope at zero."""

    safe = True

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs if self.safe else torch.sqrt((inputs - inputs.detach()).abs()) + inputs


def first(model: nn.Module, change: Change, at: int = 4) -> NonFinite | None:
    """What is found in a run of which update number *at* goes wrong."""
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=0.05), nn.CrossEntropyLoss()
    inputs, labels = points()
    with Watch(model, optimizer, loss_fn, at_exit=0) as watch:
        for step in range(1, 7):
            optimizer.zero_grad()
            batch = change(model, inputs[:32]) if step == at else inputs[:32]
            loss_fn(model(batch), labels[:32]).backward()
            optimizer.step()
    return watch.evidence.nonfinite


def test_an_input_that_is_not_a_number_is_found() -> None:
    found = first(net(), lambda model, batch: batch.index_fill(0, torch.tensor([3]), math.nan))
    assert found is not None
    assert (found.step, found.what) == (4, "input")
    assert math.isfinite(found.before or math.nan)


def test_the_module_that_makes_it_is_named_not_those_behind_it() -> None:
    model = nn.Sequential(nn.Linear(4, 8), Logarithm(), nn.Tanh(), nn.Linear(8, 2))

    def unsafe(model: nn.Module, batch: Tensor) -> Tensor:
        model[1].safe = False  # type: ignore[index]
        return batch

    found = first(model, unsafe)
    assert found is not None
    assert (found.step, found.what, found.where, found.kind) == (4, "output", "1", "Logarithm")


def test_a_gradient_that_is_not_finite_is_found_before_the_loss_is() -> None:
    model = nn.Sequential(nn.Linear(4, 8), Root(), nn.Linear(8, 2))

    def unsafe(model: nn.Module, batch: Tensor) -> Tensor:
        model[1].safe = False  # type: ignore[index]
        return batch

    found = first(model, unsafe)
    assert found is not None
    assert (found.step, found.what, found.where) == (4, "gradient", "0.bias")


def test_a_weight_that_is_not_finite_was_made_so_by_the_update_before() -> None:
    def spoil(model: nn.Module, batch: Tensor) -> Tensor:
        with torch.no_grad():
            model[2].weight[0, 0] = math.inf  # type: ignore[index]
        return batch

    found = first(net(), spoil)
    assert found is not None
    assert (found.step, found.what, found.where) == (3, "weight", "2.weight")


def test_nothing_is_found_in_a_run_of_finite_numbers() -> None:
    assert first(net(), lambda model, batch: batch) is None


def test_looking_for_the_module_changes_neither_buffers_nor_random_numbers() -> None:
    torch.manual_seed(0)
    norm, unsafe = nn.BatchNorm1d(8), Logarithm()
    unsafe.safe = False
    model = nn.Sequential(nn.Linear(4, 8), norm, nn.Dropout(0.5), unsafe)
    optimizer = sgd(model.parameters())
    inputs, labels = points()
    states = []
    for watched in (False, True):
        torch.manual_seed(1)
        norm.reset_running_stats()
        watch = Watch(model, optimizer, at_exit=0) if watched else None
        nn.CrossEntropyLoss()(model(inputs[:32]), labels[:32]).backward()
        assert norm.running_mean is not None
        states.append((norm.running_mean.clone(), torch.get_rng_state()))
        if watch:
            watch.close()
            assert watch._seen.trouble.found is not None
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
