"""Surfaces are exact about descent: on a quadratic it follows the closed form."""

import math
from typing import Any

import pytest
import torch

from thalweg import problems
from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.problems import surfaces
from thalweg.problems.surfaces import as_problem, quadratic, ravine


def _descend(surface, lr, steps):
    point = torch.tensor(surface.start, dtype=torch.float64)
    for _ in range(steps):
        place = point.clone().requires_grad_()
        point = point - lr * torch.autograd.grad(surface(place), place)[0]
    return point


@pytest.mark.parametrize("lr", [0.05, 0.19, 0.21])
def test_descent_on_a_quadratic_is_a_power_of_one_minus_rate_times_curvature(lr):
    surface = quadratic([0.5, 3.0, 10.0], start=[1.0, -2.0, 3.0])
    factors = 1 - lr * torch.tensor([0.5, 3.0, 10.0], dtype=torch.float64)
    expected = factors**40 * torch.tensor(surface.start, dtype=torch.float64)
    torch.testing.assert_close(_descend(surface, lr, 40), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("lr", "stable"), [(1.99, True), (2.01, False)])
def test_descent_is_stable_below_two_over_the_largest_curvature(lr, stable):
    surface = ravine(50)
    end = surface(_descend(surface, lr / surface.known["L"], 2000)).item()
    assert (end < 1e-6) == stable


def test_the_best_rate_shrinks_each_direction_by_the_condition_number():
    surface = ravine(9)
    low, high = surface.known["mu"], surface.known["L"]
    start, end = torch.tensor(surface.start).double(), _descend(surface, 2 / (low + high), 10)
    kappa = surface.known["condition"]
    expected = start.abs() * ((kappa - 1) / (kappa + 1)) ** 10
    torch.testing.assert_close(end.abs(), expected)


def test_descent_leaves_the_saddle_by_the_axis_that_falls():
    for name in ("saddle", "steep_saddle"):
        x, y = _descend(surfaces.find(name), 0.05, 200).tolist()
        assert abs(x) < 1e-6
        assert y > 10


def test_the_plateau_is_flat_at_its_start():
    surface = surfaces.find("plateau")
    place = torch.tensor(surface.start, requires_grad=True)
    slope = torch.autograd.grad(surface(place), place)[0].norm().item()
    assert slope < 0.01
    assert surface(place).item() > 0.5


def test_a_surface_is_walked_as_a_problem():
    problem: Any = as_problem(quadratic([1.0, 2.0], start=[4.0, -3.0]))
    model = problem.make_model(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(30):
        optimizer.zero_grad()
        problem.loss(model(torch.zeros(1, 1)), torch.zeros(1, 1)).backward()
        optimizer.step()
    assert model.point.tolist() == pytest.approx([4 * 0.5**30, 0.0])


def test_every_surface_is_a_problem_by_name():
    for name, surface in surfaces.catalogue.items():
        problem: Any = problems.load(name)
        assert surface.name == problem.name == name
        assert problem.make_model(3).point.tolist() == pytest.approx(list(surface.start))
        assert (problem.validation, problem.epochs) == (None, surface.steps)


def test_an_unknown_surface_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'beale'"):
        surfaces.find("beal")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), BadValue, "spectrum should be one or more finite numbers"),
        (([1.0, math.nan],), BadValue, "spectrum should be one or more finite"),
        (([1.0], [1.0, 2.0]), BadValue, "start has 2 coordinates, the spectrum 1"),
        ((3.0,), BadType, "spectrum should be a sequence of numbers, got 3.0"),
        ((["a"],), BadType, "spectrum should be a sequence"),
    ],
)
def test_what_is_no_spectrum_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        quadratic(*arguments)
