"""What has no curvature is refused in words that say what was given and what to do."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, mse_loss

from thalweg import problems
from thalweg.errors import BadType, BadValue
from thalweg.landscape import (
    GaussNewton,
    Hessian,
    Matrix,
    critical_point,
    extremes,
    function,
    objective,
    segment,
    sharpness,
    stable_limit,
    stable_rate,
    trace,
)

INPUTS, TARGETS = torch.randn(6, 4), torch.randn(6, 2)
DATA = (INPUTS, TARGETS)


NOTHING: Any = None
SINE: Any = torch.sin


def model() -> nn.Module:
    return nn.Linear(4, 2)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * grad * x * x


class Cubed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return Once.apply(self.inner(inputs))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (nn.MSELoss(reduction="none"), r"the loss is a tensor of shape \(6, 2\).*reduction"),
        (lambda z, y: 0.5, r"the loss is a float; expected a tensor of one number"),
        (lambda z, y: mse_loss(z.detach(), y), r"does not require a gradient.*detach"),
        (lambda z, y: mse_loss(z, y) * math.nan, r"the loss is nan at this point"),
        (lambda z, y: mse_loss(z, y) / 0, r"the loss is inf at this point"),
    ],
)
def test_a_loss_that_cannot_be_differentiated_is_refused(loss, message):
    curve = objective(model(), loss, DATA)
    for ask in (lambda: Hessian(curve), lambda: GaussNewton(curve), curve.gradient):
        with pytest.raises(BadValue, match=message):
            ask()


def test_a_custom_function_without_second_derivative_is_named():
    curve = objective(Cubed(), mse_loss, DATA)
    assert curve.gradient().isfinite().all()
    with pytest.raises(BadValue, match=r"custom function Once has no second derivative"):
        Hessian(curve)
    with pytest.raises(BadValue, match=r"custom function Once has no second derivative"):
        GaussNewton(curve)


def test_a_custom_function_is_named_also_where_the_loss_is_linear_in_it():
    with pytest.raises(BadValue, match=r"custom function Once has no second derivative"):
        Hessian(function(lambda w: Once.apply(w).sum(), torch.ones(3)))


def test_an_operation_without_second_derivative_is_named():
    bags = nn.EmbeddingBag(5, 2, mode="max")
    curve = objective(bags, mse_loss, (torch.tensor([[0, 1], [2, 3]]), torch.zeros(2, 2)))
    with pytest.raises(BadValue, match=r"operation _embedding_bag_backward has no second"):
        Hessian(curve) @ torch.ones(curve.size)


def test_a_loss_that_writes_its_own_gradient_is_refused():
    problem = problems.load("rbm")
    with pytest.raises(BadValue, match="ContrastiveDivergence writes its gradient itself"):
        objective(problem.make_model(0), problem.loss, problem.train)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: objective(SINE, mse_loss, DATA), BadType, "landscape.function"),
        (lambda: objective(model(), NOTHING, DATA), BadType, "the loss is a NoneType"),
        (lambda: objective(model().requires_grad_(False), mse_loss, DATA), BadValue, "nothing"),
        (lambda: objective(model(), mse_loss, []), BadValue, "hold no examples"),
        (lambda: objective(model(), mse_loss, 3), BadType, "data is a int"),
        (lambda: objective(model(), mse_loss, [INPUTS]), BadType, "a batch is a Tensor"),
        (lambda: objective(model(), mse_loss, DATA, batch=0), BadValue, "batch=0"),
        (lambda: objective(model().half(), mse_loss, DATA), BadType, "dtype is torch.float16"),
        (lambda: function(NOTHING, INPUTS[0]), BadType, "the function is a NoneType"),
        (lambda: function(torch.sum, INPUTS), BadType, "one dimension"),
    ],
)
def test_what_is_no_objective_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_iterator_that_was_used_up_is_refused():
    once = iter([DATA])
    objective(model(), mse_loss, once)
    with pytest.raises(BadValue, match="gone through before is empty"):
        objective(model(), mse_loss, once)


def test_a_plain_function_without_a_loss_has_no_gauss_newton_matrix():
    with pytest.raises(BadType, match="the output is one number"):
        GaussNewton(function(torch.sum, torch.ones(3)))


def test_vectors_of_another_length_are_refused():
    curve = objective(model(), mse_loss, DATA)
    with pytest.raises(BadValue, match=r"shape \(3,\); expected \(10,\)"):
        Hessian(curve) @ torch.ones(3)
    with pytest.raises(BadValue, match=r"point has shape \(3,\).*10 numbers"):
        curve(torch.ones(3))
    with pytest.raises(BadType, match="a product with a NoneType"):
        Hessian(curve) @ NOTHING


def test_a_matrix_that_is_not_symmetric_is_refused():
    with pytest.raises(BadValue, match="not symmetric"):
        Matrix(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda h: extremes(h, products=2), "products=2"),
        (lambda h: trace(h, method=NOTHING), "hutchinson"),
        (lambda h: trace(h, confidence=1.0), "between 0 and 1"),
        (lambda h: sharpness(h, 0.0), "radius=0"),
        (lambda h: critical_point(h, radius=0.0), "radius=0"),
        (lambda h: segment(h.objective, h.point, h.point), "the same point"),
        (lambda h: stable_limit(1.0, momentum=1.0), "momentum=1.0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(Hessian(objective(model(), mse_loss, DATA)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: torch.optim.Adam(p), BadValue, "no state yet"),
        (lambda p: torch.optim.Adam([nn.Parameter(torch.ones(2))]), BadValue, "trains none"),
        (lambda p: torch.optim.LBFGS(p), BadType, "LBFGS is an optimizer whose rule is not known"),
        (lambda p: torch.optim.SGD(p, lr=0.0), BadValue, "the learning rate is zero"),
        (lambda p: torch.optim.SGD(p, maximize=True), BadValue, "climbs"),
    ],
)
def test_optimizers_without_a_stable_rate_are_refused(make, error, message):
    net = model()
    hessian = Hessian(objective(net, mse_loss, DATA))
    with pytest.raises(error, match=message):
        stable_rate(hessian, make(list(net.parameters())))


def test_a_rule_that_takes_signs_has_no_stable_rate():
    import thalweg

    net = model()
    optimizer = thalweg.Optimizer(net.parameters(), "lion")
    with pytest.raises(BadType, match="a step of Lion is no multiple of the gradient"):
        stable_rate(Hessian(objective(net, mse_loss, DATA)), optimizer)


def test_a_rule_without_a_rate_has_no_stable_rate():
    import thalweg

    @thalweg.rule("Plain")
    def plain(g, *, size=0.1):
        """Step against the gradient."""
        return size * g

    net = model()
    optimizer = thalweg.Optimizer(net.parameters(), plain)
    with pytest.raises(BadType, match="Plain has no learning rate"):
        stable_rate(Hessian(objective(net, mse_loss, DATA)), optimizer)


def test_a_product_that_is_not_finite_is_refused():
    curve = function(lambda w: (w.abs() ** 0.5).sum(), torch.zeros(3, dtype=torch.float64))
    with pytest.raises(BadValue, match="not finite"):
        extremes(Hessian(curve))


def test_classes_and_cross_entropy_need_no_floating_targets():
    curve = objective(model(), cross_entropy, (INPUTS, torch.tensor([0, 1, 0, 1, 1, 0])))
    assert extremes(Hessian(curve)).largest[0].value > 0
