"""Keyed noise: normal to the moments promised, and the same wherever and however it is drawn."""

import numpy as np
import pytest
import torch

import thalweg
from thalweg.algebra import noise, normal, source, trace
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.kernels.eager import EagerLaunch
from thalweg.rules import adam, chain, sgd, transform
from thalweg.testing import check_engine
from thalweg.testing.engine_checks import Trial


@transform("noise")
def noisy(g, *, t, seed: float = 7.0, sigma: float = 0.5):
    """Add normal noise to the gradient."""
    return g + sigma * normal(seed, t)


@transform("noise from the second step on")
def late_noise(g, *, t, seed: float = 7.0):
    """Add noise keyed by a later step."""
    return g + normal(seed, t + 1)


def _sample(count: int, seed: int = 3, t: int = 5, parameter: int = 2) -> np.ndarray:
    return noise.draw((seed, t, parameter), np.zeros(count), np)


def test_moments_and_tails_are_as_stated():
    z = _sample(4_000_000)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 4 * np.sqrt(1.85 / z.size)
    assert abs((z**4).mean() - 2.85) < 0.02
    assert abs((z**3).mean()) < 0.01
    assert np.abs(z).max() < 4.89
    assert abs((np.abs(z) > 1.96).mean() - 0.05) < 0.002


@pytest.mark.parametrize("change", [{"seed": 4}, {"t": 6}, {"parameter": 3}])
def test_seed_step_and_parameter_each_give_unrelated_noise(change):
    a, b = _sample(200_000), _sample(200_000, **change)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.01


def test_neighbouring_elements_are_unrelated():
    z = _sample(200_000)
    for lag in (1, 2, 16, 256):
        assert abs(np.corrcoef(z[:-lag], z[lag:])[0, 1]) < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("rule", [chain(noisy, sgd), chain(late_noise, adam)], ids=["sgd", "adam"])
def test_compiled_and_eager_draw_the_same_noise(rule, dtype):
    trials = [Trial(engine, rule, dtype) for engine in (CpuLaunch, EagerLaunch)]
    for trial in trials:
        for _ in range(3):
            trial.draw()
            trial.step()
    for a, b in zip(trials[0].rows, trials[1].rows, strict=True):
        torch.testing.assert_close(a.parameter, b.parameter, rtol=1e-6, atol=1e-7)


def test_noise_alone_is_equal_to_the_last_bit_on_every_engine_and_thread_count():
    @transform("noise in place of the gradient")
    def only(g, *, t, seed: float = 11.0):
        """Ignore the gradient."""
        return g * 0 + normal(seed, t)

    rule, found = chain(only, sgd), []
    before = torch.get_num_threads()
    for engine, threads in ((CpuLaunch, 1), (CpuLaunch, 2), (EagerLaunch, 1)):
        torch.set_num_threads(threads)
        trial = Trial(engine, rule, torch.float32, lr=1.0)
        for row in trial.rows:
            row.parameter.zero_()
        trial.draw()
        trial.step()
        found.append(torch.cat([row.parameter.ravel() for row in trial.rows]))
    torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_transposed_parameter_gets_the_noise_of_its_indices_not_of_its_memory():
    start = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    moved = []
    for p in (start.clone(), start.t().clone().t()):
        leaf = torch.nn.Parameter(p)
        leaf.grad = torch.zeros_like(leaf)
        thalweg.Optimizer([leaf], chain(noisy, sgd), lr=1.0).step()
        moved.append(leaf.detach())
    torch.testing.assert_close(moved[0], moved[1])


def test_parameters_of_one_optimizer_get_different_noise():
    params = [torch.nn.Parameter(torch.zeros(100)) for _ in range(2)]
    for p in params:
        p.grad = torch.zeros(100)
    thalweg.Optimizer(params, chain(noisy, sgd), lr=1.0).step()
    assert not torch.equal(*params)


def test_the_pure_face_draws_the_same_noise_as_the_optimizer():
    p = torch.nn.Parameter(torch.zeros(50))
    p.grad = torch.zeros(50)
    rule = chain(noisy, sgd)
    thalweg.Optimizer([p], rule, lr=1.0).step()
    start = torch.zeros(50)
    pure, _ = rule.update(start, start, rule.init(start), t=1, lr=1.0)
    torch.testing.assert_close(pure, p.detach())


@pytest.mark.parametrize("engine", [CpuLaunch, EagerLaunch])
def test_a_noisy_rule_keeps_the_contract_of_engines(engine):
    for check in check_engine(engine, chain(noisy, adam), torch.float32):
        check()


def test_a_noisy_chain_prints_and_traces_back():
    rule = chain(noisy, adam)
    assert trace(source(rule)) is trace(rule)
