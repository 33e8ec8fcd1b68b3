import pytest
import torch
from torch import nn

from thalweg.doctor import Evidence, find_check, watch
from watched import net, points, sgd, train

CHECK = find_check("GD410")


def accumulated(clear_every: int, step_every: int = 1, backwards: int = 24) -> Evidence:
    """The evidence of a loop that steps after some batches, and clears after some others."""
    model, loss_fn, (inputs, labels) = net(), nn.CrossEntropyLoss(), points()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for k in range(1, backwards + 1):
            rows = slice(32 * (k % 8), 32 * (k % 8) + 32)
            loss_fn(model(inputs[rows]), labels[rows]).backward()
            if k % step_every == 0:
                optimizer.step()
            if k % clear_every == 0:
                optimizer.zero_grad()
    return watching.evidence


@pytest.mark.parametrize(("clear", "step"), [(1000, 1), (8, 1), (1000, 4)])
def test_gradients_that_are_added_to_those_of_earlier_updates_are_an_error(
    clear: int, step: int
) -> None:
    (found,) = CHECK(accumulated(clear, step))
    assert (found.code, found.severity) == ("GD410", "error")
    assert found.numbers["left"] > 0.3
    assert "zero_grad" in found.change


def test_accumulation_over_the_batches_of_one_update_is_left_alone() -> None:
    assert not CHECK(accumulated(4, 4))


def test_gradients_that_are_cleared_are_left_alone() -> None:
    assert not CHECK(train().evidence)
    assert not CHECK(train(overhead=1e9).evidence)


def test_a_closure_that_clears_is_left_alone() -> None:
    model, loss_fn, (inputs, labels) = net(), nn.CrossEntropyLoss(), points()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_fn(model(inputs), labels)
        loss.backward()
        return loss

    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for _ in range(4):
            optimizer.step(closure)
    assert not CHECK(watching.evidence)


def test_a_head_that_is_trained_alone_is_left_alone() -> None:
    model, loss_fn, (inputs, labels) = net(), nn.CrossEntropyLoss(), points()
    optimizer = sgd(model[2].parameters())
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for _ in range(4):
            optimizer.zero_grad()
            loss_fn(model(inputs), labels).backward()
            optimizer.step()
    assert not CHECK(watching.evidence)
