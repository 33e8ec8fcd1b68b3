"""Half precision on the compiled engine: arithmetic in float32, stored rounded to nearest."""

import numpy as np
import pytest
import torch

import thalweg
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.kernels.eager import EagerLaunch
from thalweg.rules import chain, clip_by_global_norm, decay, ema_average, find, rule
from thalweg.testing import check_engine

HALVES = [torch.bfloat16, torch.float16]
RULES = [
    *map(find, ("sgd", "momentum", "adam", "nadam", "rprop", "lion", "lamb")),
    chain(clip_by_global_norm, decay, find("adam"), ema_average),
]


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{engine.__name__} {each.key} {dtype}: {check}")
        for engine in (EagerLaunch, CpuLaunch)
        for dtype in HALVES
        for each in RULES
        for check in check_engine(engine, each, dtype)
    ],
)
def test_engine_contract(check):
    check()


@rule("Replace")
def replace(g, *, lr=0.0):
    """Move the parameter, which must be zero, to what the gradient says."""
    return lr - g


def _stored(values, dtype):
    """Return what a step leaves of float32 numbers, which a float32 state passes on unrounded."""
    p = torch.nn.Parameter(torch.zeros(len(values), dtype=dtype))
    p.grad = values.to(dtype)
    thalweg.Optimizer([p], replace).step()
    return p.detach()


@pytest.mark.parametrize("dtype", HALVES)
def test_every_number_is_read_and_written_as_torch_does(dtype):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    stored = _stored(every, dtype)
    usual = ~torch.isnan(every) & (every != 0)
    assert torch.equal(stored[usual], every[usual])
    assert torch.isnan(stored[torch.isnan(every)]).all()


@rule("Thirds")
def thirds(g, p, *, lr=1.0):
    """Leave a third of the gradient: a number that has to be rounded."""
    return p - lr * g / 3


@pytest.mark.parametrize("dtype", HALVES)
def test_results_are_rounded_to_nearest_with_ties_to_even(dtype):
    generator = torch.Generator().manual_seed(0)
    g = (torch.randn(200_000, generator=generator) * 10 ** torch.linspace(-6, 4, 200_000)).to(dtype)
    p = torch.nn.Parameter(torch.zeros_like(g))
    p.grad = g
    optimizer = thalweg.Optimizer([p], thirds)
    optimizer.step()
    assert torch.equal(p.detach(), (g.float() / 3).to(dtype))


@rule("Halves")
def halves(g, *, lr=0.5):
    """Move by half the gradient."""
    return -lr * g


def test_a_tie_goes_to_the_even_neighbour():
    p = torch.nn.Parameter(torch.tensor([1.0, 1.0078125], dtype=torch.bfloat16))
    p.grad = torch.tensor([2**-7, 2**-7], dtype=torch.bfloat16)
    thalweg.Optimizer([p], halves).step()
    assert p.tolist() == [1.0, 1.015625]


@pytest.mark.parametrize("dtype", HALVES)
def test_the_compiled_engine_takes_half_precision(dtype):
    p = torch.nn.Parameter(torch.ones(8, dtype=dtype))
    p.grad = torch.ones(8, dtype=dtype)
    optimizer = thalweg.Optimizer([p], "sgd", lr=0.5)
    optimizer.step()
    work = optimizer._work
    assert work is not None
    assert [type(each) for each in work.launches] == [CpuLaunch]
    assert p.tolist() == [0.5] * 8


@pytest.mark.parametrize("dtype", HALVES)
def test_steps_too_small_for_the_type_are_lost_as_in_torch(dtype):
    p, q = (torch.nn.Parameter(torch.full((4,), 256.0, dtype=dtype)) for _ in range(2))
    for each in (p, q):
        each.grad = torch.full((4,), 0.25, dtype=dtype)
    thalweg.optim.SGD([p], lr=0.1).step()
    torch.optim.SGD([q], lr=0.1).step()
    assert torch.equal(p, q)
    np.testing.assert_array_equal(p.detach().float().numpy(), 256.0)
