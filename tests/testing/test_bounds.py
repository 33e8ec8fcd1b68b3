"""Derived tolerances are honest: wide enough for real rounding, too narrow for a wrong rule."""

import numpy as np
import pytest
import torch

from thalweg.algebra import sqrt, symbol
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.rules import adam, catalogue, rule
from thalweg.testing import bounded, check_engine, exact

x, y = symbol("input", "x"), symbol("input", "y")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("expression", [x + y, x * y, x / y, x - y, sqrt(x) * y, (x + y) * (x - y)])
def test_a_bound_holds_and_is_within_a_few_roundings(expression, dtype):
    random = np.random.default_rng(0)
    a, b = (random.uniform(0.5, 2, 1000).astype(dtype) for _ in range(2))
    ((value,),) = bounded((expression,), [{x: exact(a), y: exact(b)}], dtype)
    from thalweg.algebra import evaluate

    ((rounded,),) = evaluate((expression,), [{x: a, y: b}])
    assert np.all(np.abs(rounded.astype(np.float64) - value.value) <= value.error)
    assert np.all(value.error <= 16 * np.finfo(dtype).eps)


@rule("Almost Adam")
def almost_adam(g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam whose eps stands inside the root, as a porting mistake would put it."""
    m = beta1 * exp_avg + (1 - beta1) * g
    v = beta2 * exp_avg_sq + (1 - beta2) * (g * g)
    return lr * (m / (1 - beta1**t)) / sqrt(v / (1 - beta2**t) + eps), m, v


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_engine_that_runs_a_slightly_wrong_rule_is_caught(dtype):
    from thalweg.kernels.plan import lower

    def wrong(plan, rows):
        return CpuLaunch(lower(almost_adam), rows)

    within = [each for each in check_engine(wrong, adam, dtype) if "rounding" in each.name]
    assert len(within) == 1
    with pytest.raises(AssertionError, match="is off by"):
        within[0]()


@pytest.mark.parametrize("rule", catalogue.values(), ids=lambda each: each.key)
def test_bounds_after_one_step_are_a_small_part_of_the_step(rule):
    random = np.random.default_rng(0)
    p, g = random.normal(size=50), random.normal(size=50)
    row = {symbol("input", "g"): exact(g), symbol("input", "p"): exact(p)}
    row[symbol("clock", "t")] = exact(1.0)
    settings = rule.settings()
    row |= {symbol("hyper", name): exact(value) for name, value in settings.items()}
    from thalweg.algebra.trace import symbols

    table = symbols(rule.signature)
    row |= {table[s]: exact(np.broadcast_to(v, p.shape)) for s, v in rule.init(p).items()}
    ((step, *_),) = bounded(rule.outputs, [row], "float32")
    assert np.max(step.error) <= 1e-5 * np.max(np.abs(step.value))
