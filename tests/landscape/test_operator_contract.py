"""The operator contract holds for strangers that keep it, and catches those that break it."""

import pytest
import torch
from torch import nn

from thalweg.landscape import Matrix
from thalweg.testing import check_operator

CUBE = torch.arange(1.0, 6.0, dtype=torch.float64)


def broken(make, **known) -> set[str]:
    found = set()
    for check in check_operator(make, **known):
        try:
            check()
        except AssertionError:
            found.add(check.name)
    return found


class Stranger:
    """The Hessian of the sum of cubes, by somebody else; subclass behaviour is passed in."""

    shape = (5, 5)
    dtype = torch.float64

    def __init__(self, product) -> None:
        self.product = product

    def __matmul__(self, vector):
        return self.product(vector)


def gradient(point):
    return 3 * point**2


def test_a_stranger_that_keeps_the_contract_passes():
    make = lambda: Stranger(lambda v: 6 * CUBE * v)  # noqa: E731
    assert not broken(make, gradient=gradient, point=CUBE)
    assert not broken(lambda: Matrix(torch.diag(6 * CUBE)), gradient=gradient, point=CUBE)


def careless(vector):
    return vector.mul_(2)


@pytest.mark.parametrize(
    ("product", "name"),
    [
        (lambda v: 6 * CUBE * v.roll(1), "it is symmetric"),
        (lambda v: 6 * CUBE * v.abs(), "it is linear"),
        (lambda v: 6 * CUBE * v + 1, "it is linear"),
        (lambda v: 6 * CUBE * v + 1e-3 * torch.rand(5), "its products are the same each time"),
        (lambda v: 5.99 * CUBE * v, "it is the derivative of the gradient"),
        (lambda v: (6 * CUBE * v).float(), "it is square and keeps the length of vectors"),
        (careless, "it leaves the vector and random numbers alone"),
        (lambda v: torch.rand(1) * 0 + 6 * CUBE * v,
         "it leaves the vector and random numbers alone"),
    ],
)  # fmt: skip
def test_each_broken_promise_is_caught(product, name):
    assert name in broken(lambda: Stranger(product), gradient=gradient, point=CUBE)


def test_an_operator_that_changes_its_model_is_caught():
    model = nn.BatchNorm1d(5)

    def product(vector):
        model.weight.data.add_(1)
        return 6 * CUBE * vector

    assert broken(lambda: Stranger(product), model=model) == {"it leaves the model as it was"}


def test_an_operator_that_leaves_a_gradient_behind_is_caught():
    model = nn.Linear(2, 1)

    def product(vector):
        model(torch.ones(2)).sum().backward()
        return 6 * CUBE * vector

    assert broken(lambda: Stranger(product), model=model) == {"it leaves the model as it was"}
