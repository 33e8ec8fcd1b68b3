"""Every rule, on every engine, in every precision, against the papers' equations."""

import numpy as np
import pytest
import torch

from oracles import ORACLES
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.kernels.eager import EagerLaunch
from thalweg.rules import find
from thalweg.testing import exact
from thalweg.testing.engine_checks import SHAPES, Trial, advance, numbers

STEPS = 50


def _oracles(key, trial):
    settings = [trial.groups[row.group] for row in trial.rows]
    starts = [numbers(row.parameter) for row in trial.rows]
    return [ORACLES[key](p, **each) for p, each in zip(starts, settings, strict=True)]


def _missing(step: int) -> list[int]:
    """Return which rows get no gradient: two begin late, one pauses now and then."""
    return [1, 5] if step < 4 else [2] if step % 5 == 3 else []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("engine", [EagerLaunch, CpuLaunch])
@pytest.mark.parametrize("key", ORACLES)
def test_engine_follows_the_paper_within_derived_tolerances(key, engine, dtype):
    rule = find(key)
    trial = Trial(engine, rule, dtype)
    oracles = [
        ORACLES[key](numbers(row.parameter), **trial.groups[row.group]) for row in trial.rows
    ]
    held = [{n: exact(numbers(v)) for n, v in trial.contents(row).items()} for row in trial.rows]
    for step in range(STEPS):
        missing = _missing(step)
        trial.draw(missing)
        active = [k for k in range(len(SHAPES)) if k not in missing]
        advance(trial, held, active)
        for k in active:
            oracles[k].step(numbers(trial.rows[k].parameter.grad))
        trial.step()
        for row, bounds, oracle in zip(trial.rows, held, oracles, strict=True):
            wrong = np.abs(numbers(row.parameter) - oracle.p)
            assert np.all(wrong <= 2 * bounds["p"].error), f"step {step + 1}: {np.max(wrong):.3g}"


@pytest.mark.parametrize("engine", [EagerLaunch, CpuLaunch])
@pytest.mark.parametrize("key", ORACLES)
def test_double_precision_stays_within_1e_12_of_the_distance_travelled(key, engine):
    trial = Trial(engine, find(key), torch.float64)
    oracles = [
        ORACLES[key](numbers(row.parameter), **trial.groups[row.group]) for row in trial.rows
    ]
    travelled = np.zeros(len(oracles))
    for step in range(STEPS):
        missing = _missing(step)
        trial.draw(missing)
        for k, (row, oracle) in enumerate(zip(trial.rows, oracles, strict=True)):
            if k not in missing:
                before = oracle.p.copy()
                oracle.step(numbers(row.parameter.grad))
                travelled[k] += np.max(np.abs(oracle.p - before), initial=0)
        trial.step()
        for row, oracle, distance in zip(trial.rows, oracles, travelled, strict=True):
            wrong = np.max(np.abs(numbers(row.parameter) - oracle.p), initial=0)
            assert wrong <= 1e-12 * distance


@pytest.mark.parametrize("key", ORACLES)
def test_rule_and_oracle_declare_the_same_hyperparameters_and_defaults(key):
    declared = {name: each.default for name, each in find(key).hyperparameters.items()}
    written = {name: getattr(ORACLES[key], name) for name in dir(ORACLES[key])}
    assert declared == {name: v for name, v in written.items() if isinstance(v, float)}
