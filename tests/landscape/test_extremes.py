"""The ends of a spectrum agree with the dense answer, signs included, in few products."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from thalweg import problems
from thalweg.errors import BadValue
from thalweg.landscape import (
    Extremes,
    GaussNewton,
    Hessian,
    Matrix,
    Objective,
    extremes,
    function,
    objective,
)
from thalweg.problems import surfaces
from thalweg.problems.examples import first_batch

MODELS = {
    "digits": None,
    "autoencoder": None,
    "rbm": binary_cross_entropy_with_logits,
}
"""Every problem whose Hessian fits into memory, and the loss where its own writes the gradient."""


def curve_of(name: str, dtype: torch.dtype = torch.float64) -> Objective:
    problem = problems.load(name)
    data = first_batch(problem.train, 300)
    return objective(problem.make_model(0), MODELS[name] or problem.loss, data, dtype=dtype)


def assert_found(found: Extremes, spectrum: Tensor, products: int) -> None:
    low, high = float(spectrum[0]), float(spectrum[-1])
    (top,), (bottom,) = found.largest, found.smallest
    assert abs(top.value - high) <= 0.01 * abs(high)
    assert abs(bottom.value - low) <= 0.01 * (high - low)
    assert found.products <= products
    for pair in (top, bottom):
        nearest = float((spectrum - pair.value).abs().min())
        assert nearest <= pair.residual + 1e-10 * (high - low)


@pytest.mark.parametrize("name", MODELS)
def test_both_ends_are_within_one_percent_of_the_dense_answer_in_30_products(name):
    hessian = Hessian(curve_of(name))
    spectrum = torch.linalg.eigvalsh(hessian.dense())
    for seed in range(3):
        assert_found(extremes(hessian, seed=seed), spectrum, 30)


@pytest.mark.parametrize("name", surfaces.catalogue)
def test_both_ends_are_right_on_every_surface(name):
    surface = surfaces.catalogue[name]
    point = torch.tensor(surface.start, dtype=torch.float64)
    hessian = Hessian(function(surface, point))
    expected = torch.autograd.functional.hessian(surface, point)
    torch.testing.assert_close(hessian.dense(), expected, rtol=1e-12, atol=1e-12)
    assert_found(extremes(hessian), torch.linalg.eigvalsh(expected), 4)


def test_an_indefinite_spectrum_keeps_its_signs():
    found = extremes(Matrix(torch.diag(torch.tensor([-10.0, 2.0, 1.0], dtype=torch.float64))))
    assert found.largest[0].value == pytest.approx(2, abs=1e-12)
    assert found.smallest[0].value == pytest.approx(-10, abs=1e-12)
    assert found.seen == pytest.approx((-10, 1, 2), abs=1e-12)


def test_several_at_each_end_come_outermost_first():
    spectrum = torch.arange(-5.0, 40.0, dtype=torch.float64)
    found = extremes(Matrix(torch.diag(spectrum)), largest=3, smallest=2, products=60)
    assert [pair.value for pair in found.largest] == pytest.approx([39, 38, 37], abs=1e-3)
    assert [pair.value for pair in found.smallest] == pytest.approx([-5, -4], abs=1e-3)


def test_a_flat_function_has_no_curvature_at_either_end():
    found = extremes(Matrix(torch.zeros(5, 5)))
    assert (found.largest[0].value, found.smallest[0].value) == (0, 0)
    assert found.converged


def test_what_has_not_converged_says_so():
    spectrum = torch.linspace(-1, 1, 400, dtype=torch.float64)
    found = extremes(Matrix(torch.diag(spectrum)), products=5)
    assert not found.converged
    assert found.largest[0].residual > 0.01


def test_a_float32_operator_agrees_with_float64():
    exact, single = (
        extremes(Hessian(curve_of("digits", kind))) for kind in (torch.float64, torch.float32)
    )
    assert single.largest[0].value == pytest.approx(exact.largest[0].value, rel=1e-4)
    assert single.smallest[0].value == pytest.approx(exact.smallest[0].value, rel=1e-2)


def test_the_gauss_newton_matrix_of_a_convex_loss_is_never_negative():
    found = extremes(GaussNewton(curve_of("digits")))
    assert found.smallest[0].value >= -1e-9
    assert found.largest[0].value > 0


def test_too_little_memory_is_refused_with_the_estimate():
    with pytest.raises(BadValue, match=r"Lanczos, 5 directions of 5 numbers.*memory=200"):
        extremes(Matrix(torch.eye(5)), memory=100)
    with pytest.raises(BadValue, match=r"dense matrix of 5 x 5 numbers, of 5 products"):
        Matrix(torch.eye(5)).dense(memory=100)
