"""Printed kernels survive authors who name their variables as the kernel names its own."""

import numpy as np
import pytest
import torch

import thalweg
from thalweg.algebra import cos, exp, floor, log, maximum, norm, scalar, sign, sum_tensor, where
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.rules import chain, clip_by_global_norm, rule
from thalweg.testing import check_engine


@rule("Collisions")
def collisions(g, p, control=0, stored=0, *, t, first=0.5, count=0.25, lr=0.1):
    """Use the kernel's own words as names of state, hyperparameters and variables."""
    g_at = first * g + count * control
    chunk = g_at * g_at
    line = chunk + stored
    x7 = line / (1 + t)
    total0 = x7 * lr
    float32 = total0 * g
    min = float32 + 0.01 * p
    return min, g_at, line


@rule("Layerwise")
def layerwise(g, p, m=0, *, lr=0.1, beta=0.9):
    """Scale a step by the norms of the parameter and of itself, as LARS and LAMB do."""
    b = beta * m + (1 - beta) * g
    size, length = norm(p), norm(b)
    trust = where(length > 0, where(size > 0, size / length, 1), 1)
    return lr * trust * b, b


@rule("Every operation")
def every_operation(g, p, *, t, lr=0.01, a=0.3):
    """Touch each elementwise operation once."""
    wave = cos(g) + exp(-(g * g)) + log(1 + g * g) + floor(3 * g) + (g % 0.7) + abs(g) ** 1.5
    return lr * where(g > a, wave, sign(p) * maximum(g, p * a)) / t


@rule("Counting")
def counting(g, seen=scalar(0.0), *, lr=0.1):
    """Keep one number for the parameter, fed by a sum over it."""
    total = seen + sum_tensor(g * g)
    return lr * g / (1 + total), total


@rule("Forgetful")
def forgetful(g, m=0, unread=3.0, *, lr=0.1):
    """Set state to a constant and never read some of it."""
    return lr * (g + m), 0.25, 1.0


@rule("Blind")
def blind(g, p):
    """Have no hyperparameters and no state."""
    return 0.5 * g


@rule("Schedule only")
def schedule_only(g, *, t, lr=0.1):
    """Step by a number that no element touches."""
    return lr / t


@rule("Resetting")
def resetting(g, s=scalar(1.0), total=scalar(0.0), *, lr=0.1):
    """Set one number to a constant and another to a bare sum."""
    return lr * g * s, 2.0, sum_tensor(g * g)


RULES = [
    resetting, collisions, layerwise, every_operation, counting, forgetful, blind, schedule_only,
    chain(clip_by_global_norm, layerwise), chain(clip_by_global_norm, counting),
]  # fmt: skip


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{rule.key} {dtype}: {check}")
        for rule in RULES
        for dtype in (torch.float32, torch.float64)
        for check in check_engine(CpuLaunch, rule, dtype)
    ],
)
def test_unusual_rules_compile_to_their_own_numbers(check):
    check()


@pytest.mark.parametrize("rule", RULES, ids=lambda each: each.key)
def test_unusual_rules_run_as_optimizers(rule):
    params = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2, 2))]
    optimizer = thalweg.Optimizer(params, rule)
    for _ in range(3):
        for p in params:
            p.grad = torch.full_like(p, 0.5)
        optimizer.step()
    assert all(torch.isfinite(p).all() and not torch.equal(p, torch.ones_like(p)) for p in params)
    assert np.isfinite(float(params[0].sum()))
