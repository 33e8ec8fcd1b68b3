"""Derivatives through several updates, by every hyperparameter, are those of finite differences."""

import pytest
import torch
from torch import Tensor

from thalweg.algebra import source, symbol
from thalweg.algebra.expr import postorder
from thalweg.algebra.trace import define
from thalweg.rules import (
    Rule,
    adam,
    ascend,
    catalogue,
    chain,
    clip_by_global_norm,
    clip_by_value,
    decay,
    ema_average,
    l2_decay,
    radam,
    rprop,
    rule,
    variants,
)

CHAINS = [
    chain(clip_by_value, catalogue["nesterov"], decay),
    chain(clip_by_global_norm, ascend, l2_decay, adam, ema_average),
    chain(clip_by_value, rprop),
]
RULES = [*catalogue.values(), *variants.values(), *CHAINS]

SETTINGS = {
    "lr": 0.05, "momentum": 0.8, "dampening": 0.1, "lr_decay": 0.1, "eps": 0.02,
    "initial_accumulator_value": 0.1, "rho": 0.8, "alpha": 0.9, "beta1": 0.8, "beta2": 0.9,
    "momentum_decay": 0.3, "etaminus": 0.5, "etaplus": 1.2, "step_size_min": 0.028,
    "step_size_max": 0.08, "weight_decay": 0.1, "clip_value": 0.5, "max_norm": 1.1,
    "ema_decay": 0.7, "beta": 0.8, "decay_steps": 12.0, "periods": 0.6, "base_lr": 0.07,
    "trust_coefficient": 0.3,
}  # fmt: skip
"""Values inside the legal ranges at which every hyperparameter makes a difference."""
STEPS = 8
"""Enough for RAdam to leave its first phase and for Rprop to reach both ends of its step size."""
START = (0.7, -1.2, 2.0, 0.0)
"""The last coordinate's gradient is zero at every step."""


def _double(value: float | tuple[float, ...]) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _end(rule: Rule, hyper: dict[str, Tensor], start: Tensor) -> Tensor:
    """Return one number that every element of the last parameters and state moves."""
    p, state = start, rule.init(start, **hyper)
    for t in range(1, STEPS + 1):
        g = torch.sin(3 * p) + 0.3 * p
        p, state = rule.update(p, g, state, t=t, **hyper)
    return (p * p).sum() + sum((value * value).mean() for value in state.values())


def _settings(rule: Rule) -> dict[str, Tensor]:
    return {name: _double(SETTINGS[name]) for name in rule.hyperparameters}


def _without_stairs(each: Rule) -> Rule:
    """Return the rule without its roundings to float32, which finite differences stumble over.

    Their derivative is taken to be that of the number they round.
    """
    if all(node.op != "single" for node in postorder(each.outputs)):
        return each
    return rule(each.name)(define(source(each).replace("single(", "(").replace("scalar(", "(")))


def _by_autograd(rule: Rule, name: str) -> Tensor:
    hyper = _settings(rule)
    hyper[name].requires_grad_()
    (found,) = torch.autograd.grad(_end(rule, hyper, _double(START)), hyper[name])
    return found


def _by_differences(rule: Rule, name: str, width: float = 1e-6) -> Tensor:
    ends = [
        _end(rule, {**_settings(rule), name: _double(SETTINGS[name] + side)}, _double(START))
        for side in (width, -width)
    ]
    return (ends[0] - ends[1]) / (2 * width)


def _reaches_smoothly(rule: Rule, name: str) -> bool:
    """Whether *rule* depends on a hyperparameter otherwise than through a sign, which is flat."""
    begins = {getattr(initial, "name", None) for initial in rule.signature.slots.values()}
    steep = postorder(rule.outputs, lambda node: node.op != "sign")
    return name in begins or symbol("hyper", name) in set(steep)


@pytest.mark.parametrize(
    ("rule", "name"),
    [pytest.param(each, n, id=f"{each.key}: {n}") for each in RULES for n in each.hyperparameters],
)
def test_the_derivative_by_a_hyperparameter_is_right(rule: Rule, name: str) -> None:
    found, expected = _by_autograd(rule, name), _by_differences(_without_stairs(rule), name)
    assert bool(found != 0) == _reaches_smoothly(rule, name)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("rule", [pytest.param(each, id=each.key) for each in RULES])
def test_members_have_the_derivatives_they_have_alone(rule: Rule) -> None:
    starts = torch.stack([_double(START), 2 * _double(START), -_double(START)])
    members = {n: v * _double((0.9, 1.0, 1.1)) for n, v in _settings(rule).items()}

    def derivatives(hyper: dict[str, Tensor], start: Tensor) -> dict[str, Tensor]:
        return torch.func.grad(lambda each: _end(rule, each, start))(hyper)

    together = torch.func.vmap(derivatives)(members, starts)
    for k, start in enumerate(starts):
        alone = derivatives({n: v[k] for n, v in members.items()}, start)
        for name, found in alone.items():
            torch.testing.assert_close(together[name][k], found, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", [pytest.param(each, id=each.key) for each in RULES])
def test_a_coordinate_without_a_gradient_passes_on_finite_derivatives(rule: Rule) -> None:
    start = _double(START).requires_grad_()
    (found,) = torch.autograd.grad(_end(rule, _settings(rule), start), start)
    assert found.isfinite().all()


def test_the_choice_that_radam_leaves_aside_at_first_passes_on_no_derivative() -> None:
    beta2 = _double(radam.hyperparameters["beta2"].default).requires_grad_()
    p = _double(START)
    new, _ = radam.update(p, torch.sin(p), radam.init(p), t=3, beta2=beta2)
    (found,) = torch.autograd.grad(new.sum(), beta2)
    assert found == 0
