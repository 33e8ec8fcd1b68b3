"""A loss of any kind, measured at the end: it draws, it is bound in part, it is not a number."""

import functools
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from thalweg.doctor import Evidence, watch
from watched import net, points, sgd

INPUTS, LABELS = points()


def trained(loss_fn: Callable[..., Tensor], inputs: Tensor = INPUTS) -> Evidence:
    model = net()
    optimizer = sgd(model.parameters())
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        for rows in torch.arange(256).split(64):
            optimizer.zero_grad()
            loss_fn(model(inputs[rows]), LABELS[rows]).backward()
            optimizer.step()
    return watching.evidence


def noisy(scores: Tensor, labels: Tensor) -> Tensor:
    """A loss that draws from every stream of random numbers."""
    noise = torch.randn_like(scores) * float(np.random.rand()) * random.random()
    return F.cross_entropy(scores + 0.01 * noise, labels)


def streams() -> list[Any]:
    return [torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()]


def test_random_numbers_that_a_loss_draws_at_the_end_are_put_back() -> None:
    model = net()
    optimizer = sgd(model.parameters())
    following = []
    for at_exit in (0.0, 60.0):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        with watch(model, optimizer, noisy, at_exit=at_exit):
            noisy(model(INPUTS), LABELS).backward()
            optimizer.step()
        following.append(streams())
    assert following[0] == following[1]


@pytest.mark.parametrize(
    "bound",
    [
        functools.partial(F.cross_entropy, label_smoothing=0.1),
        functools.partial(F.cross_entropy, reduction="sum"),
        functools.partial(functools.partial(F.cross_entropy, weight=None), reduction="sum"),
    ],
)
def test_a_loss_that_is_bound_in_part_is_measured_as_it_was_called(bound: Any) -> None:
    evidence = trained(bound)
    assert not evidence.failed
    assert evidence.gradient_check is not None
    assert evidence.curvature is not None


def scaled(scale: float, scores: Tensor, labels: Tensor) -> Tensor:
    return scale * F.cross_entropy(scores, labels)


def test_arguments_that_are_bound_in_front_are_not_given_twice() -> None:
    bound, plain = trained(functools.partial(scaled, 1.0)), trained(F.cross_entropy)
    assert not bound.failed
    assert bound.curvature is not None
    assert plain.curvature is not None
    assert bound.curvature.largest == pytest.approx(plain.curvature.largest)


def test_a_loss_that_is_nan_is_told_from_one_that_is_not_the_same_twice() -> None:
    inputs = INPUTS.clone()
    inputs[::16, 0] = torch.nan
    reason = trained(F.cross_entropy, inputs).lacks("gradient check") or ""
    assert reason == "the loss is NaN, and has no slope"
    assert "twice" in (trained(drifting()).lacks("gradient check") or "")


def drifting() -> Callable[..., Tensor]:
    """Return a loss that is another one at each call."""
    calls = iter(range(10**6))
    return lambda scores, labels: (1 + next(calls)) * F.cross_entropy(scores, labels)


def test_inputs_that_are_not_finite_are_compared_with_no_others() -> None:
    inputs = INPUTS.clone()
    inputs[::16, 0] = torch.nan
    evidence = trained(F.cross_entropy, inputs)
    assert evidence.neighbours is None
    assert "finite" in (evidence.lacks("neighbours") or "")


def test_inputs_that_require_a_gradient_are_summed_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evidence = trained(F.cross_entropy, INPUTS.clone().requires_grad_())
    assert not evidence.failed
    assert evidence.noise is not None
