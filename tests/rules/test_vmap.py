"""Members of a vmapped update end where each of them ends alone, whatever is their own."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from thalweg.rules import (
    Rule,
    adam,
    catalogue,
    chain,
    clip_by_global_norm,
    clip_by_value,
    decay,
    ema_average,
    l2_decay,
    momentum,
    nadam,
    rprop,
    sgd,
    variants,
)

CHAINS = [
    chain(clip_by_value, adam),
    chain(l2_decay, momentum),
    chain(nadam, decay),
    chain(sgd, ema_average),
    chain(clip_by_global_norm, rprop),
    chain(clip_by_global_norm, clip_by_value, adam, decay, ema_average),
]
RULES = [*catalogue.values(), *variants.values(), *CHAINS]
EACH = [
    pytest.param(rule, name, id=f"{rule.key}: {name}")
    for rule in RULES
    for name in rule.hyperparameters
]

MEMBERS, STEPS = 4, 8
"""Enough steps for RAdam, at the smaller beta2, to leave its first phase."""

OWN = {
    "etaplus": (1.1, 1.2, 1.3, 1.5),
    "etaminus": (0.3, 0.5, 0.6, 0.9),
    "step_size_min": (1e-6, 1e-3, 5e-3, 9e-3),
    "step_size_max": (0.011, 0.012, 0.02, 50.0),
    "eps": (0.0, 1e-10, 1e-8, 1e-1),
    "max_norm": (0.1, 1.0, 2.0, 100.0),
    "decay_steps": (1.0, 7.5, 20.0, 100.0),
}
FRACTIONS = (0.05, 0.3, 0.7, 0.95)
"""What the members have for every hyperparameter that OWN does not name."""

Tree = dict[str, Tensor]


def _tensors(seed: int, dtype: torch.dtype) -> Tree:
    """Return one tensor of each kind per member, of sizes that differ widely between members."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"matrix": (3, 2), "number": (), "empty": (0,)}
    scale = torch.tensor((0.1, 1.0, 3.0, 30.0)).view(-1, 1, 1)
    return {
        name: (torch.randn((MEMBERS, *shape), generator=generator, dtype=torch.float64)
               * scale.view(-1, *(1 for _ in shape))).to(dtype)
        for name, shape in shapes.items()
    }  # fmt: skip


def _own(name: str, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(OWN.get(name, FRACTIONS), dtype=dtype)


def _member(tree: Any, index: int) -> Any:
    return tree_map(lambda leaf: leaf[index], tree)


def _last(
    rule: Rule, hyper: dict[str, Any], p: Any, grads: list, clock: Callable = int
) -> tuple[Any, dict[str, Any]]:
    state = rule.init(p, **hyper)
    for t, g in enumerate(grads, 1):
        p, state = rule.update(p, g, state, t=clock(t), **hyper)
    return p, state


def _assert_same(together: Any, alone: Iterable[Any], rtol: float = 1e-12) -> None:
    """Assert that every tensor of every member is the one that the member has alone."""
    for k, single in enumerate(alone):
        for ours, theirs in zip(
            tree_leaves(_member(together, k)), tree_leaves(single), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=rtol, atol=rtol * 1e-2)


@pytest.mark.parametrize(("rule", "name"), EACH)
def test_members_with_their_own_hyperparameter_end_where_they_end_alone(
    rule: Rule, name: str
) -> None:
    p = _tensors(0, torch.float64)
    grads = [_tensors(step, torch.float64) for step in range(1, STEPS + 1)]

    def last(value: Any, p: Tree, grads: list[Tree]) -> Any:
        return _last(rule, {name: value}, p, grads)

    together = torch.func.vmap(last)(_own(name), p, grads)
    _assert_same(
        together,
        (last(float(v), _member(p, k), _member(grads, k)) for k, v in enumerate(_own(name))),
    )


@pytest.mark.parametrize("rule", [pytest.param(each, id=each.key) for each in RULES])
def test_members_with_everything_of_their_own_end_where_they_end_alone(rule: Rule) -> None:
    hyper = {name: _own(name) for name in rule.hyperparameters}
    p = _tensors(0, torch.float64)
    grads = [_tensors(step, torch.float64) for step in range(1, STEPS + 1)]
    together = torch.func.vmap(lambda *own: _last(rule, *own))(hyper, p, grads)
    members = range(MEMBERS)
    _assert_same(together, (_last(rule, *_member((hyper, p, grads), k)) for k in members))


@pytest.mark.parametrize("rule", [pytest.param(each, id=each.key) for each in RULES])
def test_state_that_leaves_a_vmap_can_enter_the_next(rule: Rule) -> None:
    p = _tensors(0, torch.float64)
    grads = [_tensors(step, torch.float64) for step in range(1, STEPS + 1)]
    rates = {"lr": _own("lr")}
    new, state = p, torch.func.vmap(lambda p, own: rule.init(p, **own))(p, rates)
    for t, g in enumerate(grads, 1):
        new, state = torch.func.vmap(
            lambda p, g, state, own, t=t: rule.update(p, g, state, t=t, **own)
        )(new, g, state, rates)
    members = range(MEMBERS)
    alone = (_last(rule, *_member((rates, p, grads), k)) for k in members)
    _assert_same((new, state), alone)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("rule", [pytest.param(each, id=each.key) for each in RULES])
def test_a_clock_in_a_tensor_tells_the_same_time(rule: Rule, dtype: torch.dtype) -> None:
    p = _member(_tensors(0, torch.float64), 1)
    grads = [_member(_tensors(step, torch.float64), 1) for step in range(1, STEPS + 1)]
    ours = _last(rule, {}, p, grads, lambda t: torch.tensor(t, dtype=dtype))
    for a, b in zip(tree_leaves(ours), tree_leaves(_last(rule, {}, p, grads)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_members_may_be_at_different_times() -> None:
    p, g = _tensors(0, torch.float64), _tensors(1, torch.float64)
    times = torch.tensor([1, 2, 30, 400])
    state = tree_map(torch.abs, nadam.init(p))
    state["mu_product"] = {name: torch.full((MEMBERS,), 0.4) for name in p}
    together = torch.func.vmap(lambda p, g, s, t: nadam.update(p, g, s, t=t))(p, g, state, times)
    _assert_same(
        together,
        (nadam.update(*_member((p, g, state), k), t=int(t)) for k, t in enumerate(times)),
    )


@pytest.mark.parametrize(("rule", "name"), EACH)
def test_a_hyperparameter_in_a_tensor_changes_no_bit_and_no_dtype(rule: Rule, name: str) -> None:
    p, *grads = (_tensors(seed, torch.float32)["matrix"][1] for seed in range(STEPS))
    value = _own(name)[2]
    ours = _last(rule, {name: value}, p, grads)
    for a, b in zip(
        tree_leaves(ours), tree_leaves(_last(rule, {name: float(value)}, p, grads)), strict=True
    ):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rule", [pytest.param(each, id=each.key) for each in RULES])
def test_members_in_single_precision_keep_it(rule: Rule, dtype: torch.dtype) -> None:
    """Whatever the precision of their hyperparameters."""
    hyper = {name: _own(name, dtype) for name in rule.hyperparameters}
    p = _tensors(0, torch.float32)
    grads = [_tensors(step, torch.float32) for step in range(1, 4)]
    together = torch.func.vmap(lambda *own: _last(rule, *own))(hyper, p, grads)
    assert {leaf.dtype for leaf in tree_leaves(together)} == {torch.float32}
    _assert_same(
        together,
        (_last(rule, *_member((hyper, p, grads), k)) for k in range(MEMBERS)),
        rtol=1e-5,
    )
