"""Constructors, groups and printed forms are torch's, so that code for torch needs no change."""

import inspect
from typing import Any

import pytest
import torch
from twins import CASES, NAMES, Case, build, label, parameters

import thalweg
from thalweg import optim

SHARED = [*NAMES, "SparseAdam"]


def constructor(kind: type) -> list[tuple[str, Any, Any]]:
    """Return the name, kind and default of every parameter of a class's constructor."""
    found = inspect.signature(kind).parameters.values()
    return [(each.name, each.kind, each.default) for each in found]


@pytest.mark.parametrize("name", SHARED)
def test_the_constructor_takes_what_torchs_takes(name: str) -> None:
    assert constructor(getattr(optim, name)) == constructor(getattr(torch.optim, name))


def test_every_class_that_torch_has_too_is_compared() -> None:
    shared = {name for name in optim.__all__ if hasattr(torch.optim, name)}
    assert shared == {*SHARED, "Optimizer"}


def test_sgdw_takes_the_rate_the_momentum_and_the_decay_first() -> None:
    assert [name for name, *_ in constructor(optim.SGDW)][:4] == [
        "params", "lr", "momentum", "weight_decay",
    ]  # fmt: skip


@pytest.mark.parametrize("case", [*CASES, ("SparseAdam", {"maximize": True})], ids=label)
def test_groups_hold_torchs_keys_and_values(case: Case) -> None:
    name, options = case
    ours = build(optim, name, parameters(), **options)
    theirs = build(torch.optim, name, parameters(), **options)
    (own,), (other,) = ours.param_groups, theirs.param_groups
    assert {k: v for k, v in own.items() if k != "params"} == {
        k: v for k, v in other.items() if k != "params"
    }
    assert ours.defaults == theirs.defaults


@pytest.mark.parametrize("name", SHARED)
def test_it_prints_as_torchs_does(name: str) -> None:
    assert repr(build(optim, name, parameters())) == repr(build(torch.optim, name, parameters()))


@pytest.mark.parametrize("name", [*SHARED, "SGDW"])
def test_it_is_a_torch_optimizer(name: str) -> None:
    assert isinstance(build(optim, name, parameters()), torch.optim.Optimizer)


def test_a_rules_hyperparameters_and_one_switch_are_the_keys_of_its_groups() -> None:
    optimizer = thalweg.Optimizer(parameters(), "adam", lr=0.5)
    (group,) = optimizer.param_groups
    assert {k: v for k, v in group.items() if k != "params"} == {
        "lr": 0.5, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "differentiable": False,
    }  # fmt: skip
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert thalweg.Optimizer is optim.Optimizer
