"""The noise of gradients is the one they were drawn with, and falls with the batch as it should."""

import math
from itertools import combinations, product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from thalweg.errors import BadType, BadValue
from thalweg.landscape import (
    GaussNewton,
    Matrix,
    Objective,
    batch_variance,
    expected_variance,
    function,
    gradient_noise,
    noise_of,
    objective,
)

FEATURES, SIGMA = 6, 3.0
HALF: Any = 2.5
EVEN = torch.eye(FEATURES, dtype=torch.float64)
OFF = torch.arange(1, FEATURES + 1, dtype=torch.float64) / 3


def products(
    count: int, examples: int, signal: float, spread: float, size: int = 400, seed: int = 5
) -> Tensor:
    """Inner products of gradients around one of norm² *signal*, of noise with trace *spread*."""
    generator = torch.Generator().manual_seed(seed)
    mean = torch.full((size,), math.sqrt(signal / size), dtype=torch.float64)
    drawn = torch.randn(count, size, generator=generator, dtype=torch.float64)
    gradients = mean + drawn * math.sqrt(spread / size / examples)
    return gradients @ gradients.T


def regression(examples: int, batch: int, seed: int = 1) -> Objective:
    """Least squares on normal inputs, at weights that are off by OFF, with noise in the answers."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(examples, FEATURES, generator=generator, dtype=torch.float64)
    noise = torch.randn(examples, 1, generator=generator, dtype=torch.float64)
    model = nn.Linear(FEATURES, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    data = (inputs, SIGMA * noise - inputs @ OFF.unsqueeze(1))
    return objective(model, mse_loss, data, batch=batch)


def truth(metric: Tensor) -> float:
    """tr MΣ / G'MG of the regression, by the fourth moments of normal numbers."""
    mean = 2 * OFF
    covariance = 4 * ((OFF @ OFF + SIGMA**2) * EVEN + torch.outer(OFF, OFF))
    return float((metric @ covariance).trace() / (mean @ metric @ mean))


def test_the_noise_scale_is_that_of_gradients_that_were_drawn_with_it() -> None:
    found = noise_of(products(32, 8, 2.0, 150.0), 8)
    assert found.scale == pytest.approx(75, rel=0.1)
    assert found.low < 75 < found.high
    assert found.spread / found.signal == found.scale


def test_the_noise_scale_is_open_above_where_there_is_no_gradient_to_be_told() -> None:
    found = noise_of(products(8, 8, 1e-6, 150.0), 8)
    assert found.high == math.inf
    assert found.low > 100
    assert found.scale > 100


def test_the_interval_holds_the_truth_nearly_always() -> None:
    drawn = [noise_of(products(24, 4, 2.0, 60.0, 50, seed), 4) for seed in range(100)]
    assert sum(found.low <= 30 <= found.high for found in drawn) >= 95
    assert any(not found.low <= 25 <= found.high for found in drawn)


def test_the_jackknife_is_that_of_leaving_out_each_gradient() -> None:
    whole, count = products(9, 4, 2.0, 60.0, 50), 9
    kept = [[k for k in range(count) if k != out] for out in range(count)]
    signals = torch.tensor([noise_of(whole[rows][:, rows], 4).signal for rows in kept])
    error = ((count - 1) / count * (signals - signals.mean()).square().sum()).sqrt()
    found = noise_of(whole, 4)
    spreads = torch.tensor([noise_of(whole[rows][:, rows], 4).spread for rows in kept])
    other = ((count - 1) / count * (spreads - spreads.mean()).square().sum()).sqrt()
    expected = (found.spread - 2 * float(other)) / (found.signal + 2 * float(error))
    assert found.low == pytest.approx(expected, rel=1e-4)


def test_signal_and_spread_have_no_bias() -> None:
    drawn = [noise_of(products(6, 4, 2.0, 60.0, 20, seed), 4) for seed in range(400)]
    assert sum(found.signal for found in drawn) / 400 == pytest.approx(2, rel=0.1)
    assert sum(found.spread for found in drawn) / 400 == pytest.approx(60, rel=0.02)


@pytest.mark.parametrize("batch", [8, 50])
def test_the_noise_scale_of_a_regression_is_the_one_computed_by_hand(batch: int) -> None:
    found = gradient_noise(regression(4000, batch))
    assert found.scale == pytest.approx(truth(EVEN), rel=0.15)
    assert found.low < truth(EVEN) < found.high


def test_the_critical_batch_size_weighs_directions_by_their_curvature() -> None:
    curved = torch.diag(torch.tensor([100.0, 1, 1, 1, 1, 1], dtype=torch.float64))
    found = gradient_noise(regression(4000, 20), Matrix(curved))
    assert truth(curved) > 3 * truth(EVEN)
    assert found.scale == pytest.approx(truth(curved), rel=0.25)
    assert found.low < truth(curved) < found.high


def test_where_all_directions_are_equally_curved_the_two_are_the_same() -> None:
    curve, whole = regression(4000, 20), regression(4000, 4000)
    plain, critical = gradient_noise(curve), gradient_noise(curve, GaussNewton(whole))
    assert critical.scale == pytest.approx(plain.scale, rel=0.1)


def test_at_the_scale_a_training_takes_twice_the_fewest_updates_and_examples() -> None:
    found = noise_of(products(32, 8, 2.0, 150.0), 8)
    assert found.updates(found.scale) == pytest.approx(2)
    assert found.examples(found.scale) == pytest.approx(2)
    assert found.updates(1e9) == pytest.approx(1)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_expected_variance_is_the_mean_over_all_batches_there_are(
    size: int, replacement: bool
) -> None:
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows -= rows.mean(0)
    draws = product(range(4), repeat=size) if replacement else combinations(range(4), size)
    over_all = [float(rows[list(each)].mean(0).square().sum()) for each in draws]
    spread = float(rows.square().sum(1).mean())
    found = expected_variance(spread, size, 4, replacement=replacement)
    assert found == pytest.approx(sum(over_all) / len(over_all))


@pytest.mark.parametrize("replacement", [True, False])
def test_drawn_batches_vary_as_expected(replacement: bool) -> None:
    sizes = [1, 4, 16, 48]
    found = batch_variance(regression(60, 1), sizes, replacement=replacement, confidence=0.999)
    assert bool((found.low <= found.expected).all())
    assert bool((found.expected <= found.high).all())
    law = [1 / s if replacement else (60 - s) / 59 / s for s in sizes]
    torch.testing.assert_close(found.expected / found.expected[0], torch.tensor(law).double())


def test_a_batch_of_all_examples_does_not_vary() -> None:
    found = batch_variance(regression(30, 1), [30])
    assert found.measured[0] < 1e-12
    assert found.expected[0] == 0


def test_batches_of_another_size_than_most_are_left_out() -> None:
    found, whole = gradient_noise(regression(95, 10)), regression(95, 10)
    gradients = torch.stack([g for _, g in whole.gradients()])[:9]
    assert found.scale == pytest.approx(noise_of(gradients @ gradients.T, 10).scale)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda c: gradient_noise(regression(30, 10)), BadValue, "at least four batches.*got 3"),
        (lambda c: gradient_noise(function(torch.sum, OFF)), BadValue, "at least four batches"),
        (lambda c: gradient_noise(c, memory=100), BadValue, r"20 batches of 6 numbers, needs"),
        (lambda c: gradient_noise(c, point=OFF[:2]), BadValue, r"point has shape \(2,\)"),
        (lambda c: gradient_noise(c, point=OFF / 0), BadValue, "the loss is (inf|nan)"),
        (lambda c: gradient_noise(c, Matrix(torch.eye(2))), BadValue, r"shape \(6,\); expected"),
        (lambda c: batch_variance(c, [21]), BadValue, "size=21; .* from 1 to 20"),
        (lambda c: batch_variance(c, [0]), BadValue, "size=0"),
        (lambda c: batch_variance(c, [HALF]), BadType, "size=2.5"),
        (lambda c: batch_variance(c, [1], draws=1), BadValue, "draws=1"),
        (lambda c: batch_variance(c, [1], memory=100), BadValue, "20 batches of 6 numbers"),
        (lambda c: batch_variance(regression(25, 10), [1]), BadValue, "different sizes"),
        (lambda c: batch_variance(regression(10, 10), [1]), BadValue, "there is only one"),
        (lambda c: expected_variance(1.0, 5, 4), BadValue, "size=5"),
        (lambda c: noise_of(products(8, 8, 2.0, 1.0), 8).updates(0), BadValue, "batch=0"),
    ],
)
def test_noise_that_cannot_be_measured_is_refused(ask, error, message) -> None:
    with pytest.raises(error, match=message):
        ask(regression(20, 1))


def test_a_noise_scale_is_infinite_and_no_huge_number_where_there_is_no_signal() -> None:
    turned = torch.eye(8, dtype=torch.float64) - 0.14
    found = noise_of(turned, 4)
    assert found.signal < 0
    assert found.low == found.scale == found.high == math.inf
