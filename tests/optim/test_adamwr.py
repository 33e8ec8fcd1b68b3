"""AdamWR is the paper's: one multiplier scales step and decay, and lr does not touch the decay."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import thalweg
from thalweg.schedules import adamwr

ALPHA, NORMALIZED, BATCH, EXAMPLES, FIRST = 0.01, 0.05, 8, 60, 1
PER_EPOCH = 8
Array = NDArray[np.float64]


def multiplier_and_decay() -> Iterator[tuple[float, float]]:
    """Loshchilov & Hutter 2019: restart after restart, batch after batch."""
    epochs = FIRST
    while True:
        decay = NORMALIZED * np.sqrt(BATCH / (EXAMPLES * epochs))
        for done in range(epochs * PER_EPOCH):
            yield 0.5 + 0.5 * np.cos(np.pi * done / (epochs * PER_EPOCH)), decay
        epochs *= 2


def adam_by_hand(p: Array, gs: Array) -> Array:
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, (g, (eta, decay)) in enumerate(zip(gs, multiplier_and_decay(), strict=False), 1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        p = p - eta * (ALPHA * m_hat / (np.sqrt(v_hat) + 1e-8) + decay * p)
    return p


def sgd_by_hand(p: Array, gs: Array) -> Array:
    m = np.zeros_like(p)
    for g, (eta, decay) in zip(gs, multiplier_and_decay(), strict=False):
        m = 0.9 * m + eta * ALPHA * g
        p = p - m - eta * decay * p
    return p


@pytest.mark.parametrize(("rule", "by_hand"), [("adamw", adam_by_hand), ("sgdw", sgd_by_hand)])
def test_it_goes_where_the_papers_equations_go(rule, by_hand) -> None:
    random = np.random.RandomState(0)
    start, gs = random.standard_normal(9), random.standard_normal((61, 9))
    p = torch.nn.Parameter(torch.tensor(start))
    settings = adamwr(ALPHA, NORMALIZED, batch=BATCH, examples=EXAMPLES, first=FIRST)
    optimizer = thalweg.Optimizer([p], rule, like="paper", **settings)
    for g in gs:
        p.grad = torch.tensor(g)
        optimizer.step()
    expected = by_hand(start, gs)
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=0, atol=1e-13)
    assert np.abs(expected - start).max() > 0.1


def test_the_decay_is_not_multiplied_by_the_learning_rate() -> None:
    """Without gradients a first update shrinks by the normalized decay alone, whatever lr is."""
    for lr in (1e-3, 1.0):
        p = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
        settings = adamwr(lr, 0.5, batch=10, examples=40, first=1)
        optimizer = thalweg.Optimizer([p], "adamw", like="paper", **settings)
        p.grad = torch.zeros_like(p)
        optimizer.step()
        assert p.item() == pytest.approx(1 - 0.5 * 0.25**0.5, rel=1e-15)
