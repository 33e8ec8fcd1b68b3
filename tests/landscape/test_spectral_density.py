"""Averages over random probes hold the truth as often as they say, and cost what they say."""

import pytest
import torch
from torch import Tensor

from thalweg.landscape import Hessian, Matrix, condition, density, extremes, function, trace
from thalweg.problems.surfaces import ravine

SPECTRA = {
    "indefinite with outliers": torch.cat(
        [torch.linspace(-0.1, 0.1, 190), torch.linspace(1, 20, 10)]
    ),
    "positive": torch.linspace(1, 2, 200),
    "mostly zero": torch.cat([torch.zeros(140), torch.linspace(-0.1, 3, 60)]),
}
SEEDS = 60


def turned(spectrum: Tensor) -> Matrix:
    """Return a matrix with this spectrum along random directions."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(len(spectrum), len(spectrum), generator=generator, dtype=torch.float64)
    axes = torch.linalg.qr(drawn).Q
    matrix = axes @ torch.diag(spectrum.double()) @ axes.T
    return Matrix((matrix + matrix.T) / 2)


@pytest.mark.parametrize("name", SPECTRA)
def test_moments_lie_within_the_stated_interval_as_often_as_it_says(name):
    spectrum = SPECTRA[name].double()
    operator = turned(spectrum)
    spreads = [density(operator, probes=8, steps=8, seed=seed) for seed in range(SEEDS)]
    for power in (1, 2, 3, 4):
        truth = float((spectrum**power).mean())
        found = [spread.moment(power) for spread in spreads]
        assert sum(each.low <= truth <= each.high for each in found) >= 0.87 * SEEDS
        assert all(each.low < each.value < each.high for each in found)
        average = sum(each.value for each in found) / SEEDS
        assert average == pytest.approx(truth, rel=0.05, abs=0.01)
    assert spreads[0].products == 64


@pytest.mark.parametrize("name", SPECTRA)
def test_the_share_of_eigenvalues_below_a_number_is_bracketed(name):
    spectrum = SPECTRA[name].double()
    operator = turned(spectrum)
    held = 0
    for seed in range(20):
        found = density(operator, probes=5, steps=12, seed=seed).share(high=0.5)
        held += found.low <= float((spectrum <= 0.5).double().mean()) <= found.high
    assert held >= 18


@pytest.mark.parametrize("method", ["hutchinson", "hutch++"])
@pytest.mark.parametrize("name", SPECTRA)
def test_the_trace_lies_within_the_stated_interval_as_often_as_it_says(name, method):
    spectrum = SPECTRA[name].double()
    operator = turned(spectrum)
    found = [trace(operator, method=method, products=90, seed=seed) for seed in range(SEEDS)]
    held = sum(each.low <= float(spectrum.sum()) <= each.high for each in found)
    assert held >= 0.87 * SEEDS


def test_probing_stops_once_the_interval_is_narrow():
    quick = trace(turned(SPECTRA["positive"]), method="hutchinson", tolerance=0.1)
    assert quick.converged
    assert quick.products == 10
    slow = trace(turned(SPECTRA["mostly zero"]), method="hutchinson", tolerance=0.001, products=40)
    assert not slow.converged
    assert slow.products == 40


def test_hutch_plus_plus_is_exact_where_few_eigenvalues_make_up_the_trace():
    spectrum = torch.cat([torch.zeros(190), torch.linspace(1, 20, 10)])
    operator = turned(spectrum)
    exact, plain = (trace(operator, method=m, products=60) for m in ("hutch++", "hutchinson"))
    assert exact.value == pytest.approx(105, rel=1e-9)
    assert plain.high - plain.low > 1


def test_a_curve_of_the_density_covers_all_eigenvalues():
    spread = density(turned(SPECTRA["indefinite with outliers"]))
    points = torch.linspace(-2, 22, 4001, dtype=torch.float64)
    curve = spread.curve(points, width=0.2)
    assert float(torch.trapezoid(curve, points)) == pytest.approx(1, abs=1e-3)
    assert float(points[curve.argmax()]) == pytest.approx(0, abs=0.1)


def test_a_ravine_has_the_condition_number_it_was_made_with():
    surface = ravine(100.0)
    hessian = Hessian(function(surface, torch.tensor(surface.start, dtype=torch.float64)))
    found = condition(extremes(hessian, products=4), density(hessian))
    assert found.low <= 100 * (1 + 1e-9)
    assert found.high >= 100 * (1 - 1e-9)
    assert found.value == pytest.approx(100)


def test_a_condition_number_holds_the_ratio_to_the_quantile_asked_for():
    spectrum = SPECTRA["indefinite with outliers"].double()
    operator = turned(spectrum)
    for quantile in (0.5, 0.9, 0.97):
        found = condition(extremes(operator), density(operator), quantile)
        truth = 20 / float(torch.quantile(spectrum.abs(), quantile))
        assert found.low <= truth <= found.high


def test_a_condition_number_that_cannot_be_told_from_infinite_is_open_above():
    spread = density(turned(SPECTRA["mostly zero"]))
    found = condition(extremes(turned(SPECTRA["mostly zero"])), spread, 0.5)
    assert found.high == float("inf")
    assert not found.converged
