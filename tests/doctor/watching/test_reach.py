"""A ``backward`` counts where it reached the optimizer's parameters, whichever of them."""

import torch
from torch import Tensor

from thalweg.doctor.watching.reach import STREAK, Reach


def parameters(count: int) -> list[Tensor]:
    return [torch.ones(2, requires_grad=True) for _ in range(count)]


def reached(reach: Reach, *tensors: Tensor) -> bool:
    reach.begin()
    sum((each.sum() for each in tensors), torch.zeros((), requires_grad=True)).backward()
    return reach.reached()


def test_gradients_that_are_added_to_are_reached_again() -> None:
    first, second = parameters(2)
    reach = Reach(torch.optim.SGD([first, second], lr=0.1))
    assert [reached(reach, second) for _ in range(3)] == [True] * 3


def test_what_reaches_no_parameter_does_not_count_however_often_it_alternates() -> None:
    own, foreign = parameters(2)
    reach = Reach(torch.optim.SGD([own], lr=0.1))
    assert [reached(reach, each) for each in (foreign, own, foreign, own, own, foreign)] == [
        False, True, False, True, True, False,
    ]  # fmt: skip


def test_losses_that_take_turns_on_different_parameters_are_all_seen() -> None:
    first, second = parameters(2)
    reach = Reach(torch.optim.SGD([first, second], lr=0.1))
    assert all(reached(reach, each) for _ in range(2 * STREAK) for each in (first, second))


def test_a_parameter_that_told_for_long_and_tells_no_more_costs_one_loss() -> None:
    first, second = parameters(2)
    reach = Reach(torch.optim.SGD([first, second], lr=0.1))
    assert all(reached(reach, first, second) for _ in range(2 * STREAK))
    assert [reached(reach, second) for _ in range(2 * STREAK)].count(False) <= 1


def test_gradients_that_are_set_to_nothing_are_reached_anew() -> None:
    (only,) = parameters(1)
    optimizer = torch.optim.SGD([only], lr=0.1)
    reach = Reach(optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        assert reached(reach, only)
