"""Newton's method reaches minima in few steps, and leaves the saddles that attract it undamped."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from thalweg.errors import BadType, BadValue
from thalweg.landscape import (
    Hessian,
    NewtonState,
    Objective,
    critical_point,
    damped_newton,
    function,
    objective,
    saddle_free_newton,
)
from thalweg.landscape.moves import Absolute, Conjugate
from thalweg.problems.surfaces import catalogue, quadratic

NOTHING: Any = None
BOTH = [damped_newton, saddle_free_newton]

Driver = Callable[..., Iterator[NewtonState]]
drivers = pytest.mark.parametrize("driver", BOTH)


def at(surface: Callable[[Tensor], Tensor], *point: float) -> Objective:
    return function(surface, torch.tensor(point, dtype=torch.float64))


def undamped(curve: Objective, steps: int) -> Tensor:
    """Newton's method as in the book, without any care."""
    point = curve.point
    for _ in range(steps):
        point = point - torch.linalg.solve(Hessian(curve, point).dense(), curve.gradient(point))
    return point


def wild(points: Tensor) -> Tensor:
    """A function that is curved up and down at any point."""
    return (points * points.roll(1)).sin().sum() + points.pow(3).sum() / 3


@pytest.mark.parametrize("damping", [0.0, 0.5, 20.0])
def test_moves_are_those_of_the_dense_matrices(damping: float):
    curve = at(wild, 0.3, -1.0, 2.0, 0.7, -0.4)
    hessian, gradient = Hessian(curve), curve.gradient()
    values, vectors = torch.linalg.eigh(hessian.dense())
    assert values[0] < -1
    assert values[-1] > 1
    slopes = vectors.T @ gradient

    absolute = Absolute(hessian, gradient, 5, 1e9).solve(damping)
    expected = -vectors @ (slopes / (values.abs() + damping))
    torch.testing.assert_close(absolute.move, expected)
    fall = -gradient @ expected - (vectors.T @ expected).square() @ values.abs() / 2
    assert absolute.promised == pytest.approx(float(fall))

    conjugate = Conjugate(hessian, gradient, 20, 1e-12).solve(damping)
    if damping < -values[0]:
        assert conjugate.move is None
        assert conjugate.harder > damping
    else:
        expected = -vectors @ (slopes / (values + damping))
        torch.testing.assert_close(conjugate.move, expected)
        fall = -gradient @ expected - expected @ hessian.dense() @ expected / 2
        assert conjugate.promised == pytest.approx(float(fall))


@drivers
def test_a_quadratic_takes_one_step(driver: Driver):
    curve = at(quadratic((0.01, 1.0, 7.0, 300.0)), 3.0, -2.0, 1.0, 5.0)
    options: Any = {"residual": 1e-12} if driver is damped_newton else {}
    path = list(driver(curve, **options))
    assert len(path) == 2
    assert float(path[1].point.abs().max()) < 1e-10
    assert path[1].products <= 5


@drivers
def test_rosenbrocks_valley_is_walked_to_its_end(driver: Driver):
    path = list(driver(at(catalogue["rosenbrock"], -1.2, 1.0), tolerance=1e-9))
    torch.testing.assert_close(path[-1].point, torch.ones(2, dtype=torch.float64))
    assert len(path) < 40
    assert all(after.loss < before.loss for before, after in pairwise(path))


@drivers
@pytest.mark.parametrize(
    ("name", "start"), [("saddle", (1.0, 1e-3)), ("monkey saddle", (0.2, 0.1))]
)
def test_a_saddle_that_attracts_newtons_method_is_left(driver: Driver, name: str, start: Any):
    surface: Any = monkey if name == "monkey saddle" else catalogue[name]
    curve = at(surface, *start)
    assert float(undamped(curve, 30).norm()) < 1e-6
    *_, last = driver(curve, steps=30)
    assert last.loss < -1
    assert float(last.point.norm()) > 1


def monkey(points: Tensor) -> Tensor:
    x, y = points[..., 0], points[..., 1]
    return x**3 - 3 * x * y**2


def dented(points: Tensor) -> Tensor:
    x, y = points[..., 0], points[..., 1]
    return x**2 + y**4 / 4 - y**2 / 2


@pytest.mark.parametrize("start", [(0.0, 0.0), (1.0, 0.0)])
def test_on_the_ridge_itself_it_goes_down_along_the_negative_curvature(start: Any):
    *_, last = saddle_free_newton(at(dented, *start))
    assert abs(float(last.point[1])) == pytest.approx(1)
    assert last.loss == pytest.approx(-0.25)
    *_, stays = damped_newton(at(dented, *start))
    assert float(stays.point.norm()) == pytest.approx(0, abs=1e-6)


def test_a_minimum_is_not_left():
    curve = at(quadratic((1.0, 2.0)), 0.0, 0.0)
    assert len(list(saddle_free_newton(curve))) == 1


@pytest.fixture(scope="module")
def perceptron() -> Objective:
    """A small network on badly scaled inputs, which is what makes plain descent slow."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.logspace(-1, 1, 6, dtype=torch.float64)
    inputs = scales * torch.randn(60, 6, generator=generator, dtype=torch.float64)
    targets = (inputs * scales.flip(0)).sin().sum(1)

    def loss(w: Tensor) -> Tensor:
        first, bias, last = w[:48].view(6, 8), w[48:56], w[56:64]
        return ((inputs @ first + bias).tanh() @ last + w[64] - targets).square().mean()

    return function(loss, torch.randn(65, generator=generator, dtype=torch.float64) / 3)


@pytest.fixture(scope="module")
def descended(perceptron: Objective) -> float:
    """The lowest loss after BUDGET steps of gradient descent at any of several rates."""
    return min(descend(perceptron, lr) for lr in (0.06, 0.1, 0.15, 0.2))


BUDGET = 1000


def descend(curve: Objective, lr: float) -> float:
    """The loss after BUDGET steps, infinite where they diverge."""
    point = curve.point.clone().requires_grad_()
    optimizer = torch.optim.SGD([point], lr=lr)
    try:
        for _ in range(BUDGET):
            point.grad = curve.gradient(point)
            optimizer.step()
    except BadValue:
        return float("inf")
    return curve(point)


def work(state: NewtonState) -> float:
    """Gradients that a descent has cost; a product counts as two, which is more than it takes."""
    return state.losses / 2 + state.gradients + 2 * state.products


@drivers
def test_a_network_gets_lower_than_by_gradient_descent_for_the_same_work(
    driver: Driver, perceptron: Objective, descended: float
):
    path = driver(perceptron, steps=60)
    reached = [state for state in path if work(state) <= BUDGET]
    assert reached[-1].loss < 0.7 * descended


@drivers
def test_the_model_and_torchs_numbers_are_left_alone(driver: Driver):
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 1))
    before = {name: each.clone() for name, each in model.state_dict().items()}
    state = torch.get_rng_state()
    curve = objective(model, mse_loss, (torch.ones(9, 4).cumsum(0), torch.ones(9, 1)))
    path = list(driver(curve, steps=3))
    assert path[-1].loss < path[0].loss
    assert path[0].point.dtype == torch.float32
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


@drivers
def test_steps_into_nowhere_are_taken_back(driver: Driver):
    curve = at(lambda w: w.sum() - w.log().sum(), 30.0, 2.0)
    *_, last = driver(curve)
    torch.testing.assert_close(last.point, torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)


@drivers
def test_a_slope_without_curvature_is_walked_down(driver: Driver):
    path = list(driver(at(lambda w: 3 * w[0] - w[1], 0.0, 0.0), steps=5))
    assert len(path) == 6
    assert path[-1].loss < path[0].loss - 1


@drivers
def test_the_end_is_a_minimum(driver: Driver):
    curve = at(catalogue["beale"], 1.0, 1.0)
    *_, last = driver(curve, steps=100)
    found = critical_point(Hessian(curve, last.point))
    assert found.kind == "minimum"


@drivers
def test_a_descent_can_be_looked_at_and_left(driver: Driver):
    walk = driver(at(catalogue["rosenbrock"], -1.2, 1.0))
    first, second = next(walk), next(walk)
    assert (first.step, second.step) == (0, 1)
    assert (first.losses, first.gradients, first.products) == (1, 1, 0)
    assert second.products >= 1
    assert second.gradients == 3


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return 3 * grad * ctx.saved_tensors[0] ** 2


@drivers
@pytest.mark.parametrize(
    ("inner", "options", "error", "message"),
    [
        (torch.sum, {"steps": 0}, BadValue, "steps=0"),
        (torch.sum, {"products": 0}, BadValue, "products=0"),
        (torch.sum, {"damping": -1.0}, BadValue, "damping=-1"),
        (torch.sum, {"tolerance": NOTHING}, BadType, "tolerance=None"),
        (torch.sum, {"start": torch.ones(2)}, BadValue, r"point has shape \(2,\).*3 numbers"),
        (torch.sum, {"start": torch.ones(3) / 0}, BadValue, "start has numbers .* not finite"),
        (torch.square, {}, BadValue, r"the loss is a tensor of shape \(3,\)"),
        (lambda w: (-w).sqrt().sum(), {}, BadValue, "the loss is nan at this point"),
    ],
)
def test_what_cannot_be_walked_is_refused_before_the_first_step(
    driver: Driver, inner: Any, options: Any, error: Any, message: str
):
    with pytest.raises(error, match=message):
        driver(function(inner, torch.ones(3)), **options)


@drivers
def test_a_gradient_that_is_not_finite_is_refused(driver: Driver):
    curve = function(lambda w: w.abs().sqrt().sum(), torch.zeros(3))
    with pytest.raises(BadValue, match="the gradient is not finite at the start"):
        driver(curve)


@drivers
def test_an_operation_without_second_derivative_is_named(driver: Driver):
    curve = function(lambda w: Once.apply(w).square().sum(), torch.ones(3))
    with pytest.raises(BadValue, match="custom function Once has no second derivative"):
        list(driver(curve))


def test_a_space_too_large_for_memory_is_refused_with_the_estimate():
    curve = function(lambda w: w.square().sum(), torch.ones(1000))
    with pytest.raises(BadValue, match=r"20 directions of 1,000 numbers, needs .* memory="):
        list(saddle_free_newton(curve, memory=1000))
