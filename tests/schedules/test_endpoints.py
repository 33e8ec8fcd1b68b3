"""The contract of endpoints, for every kind: what the first update uses, the last, and those after.

Beside each kind stands its paper's formula again, in plain Python and without a look at ours, and
torch's own scheduler where there is one that means the same.
"""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from thalweg.schedules import (
    Schedule,
    catalogue,
    constant,
    cosine,
    exp_range,
    exponential,
    inverse_time,
    lanes,
    linear,
    normalized_decay,
    one_cycle,
    piecewise,
    polynomial,
    snapshot_cosine,
    step_decay,
    triangular,
    triangular2,
    vaswani,
    warm_restarts,
    warmup,
    warmup_stable_decay,
)


class Case(NamedTuple):
    """A schedule, the values of its first and its last update, and its formula once more."""

    made: Schedule
    first: float
    last: float | None
    formula: Callable[[int], float]


def half_cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


def cycle_of(k: int, first: float, factor: float) -> tuple[float, float, int]:
    """Walk through the cycles: how far k is in its own, how long that is, and which it is."""
    begins, length, number = 0.0, float(first), 0
    while k >= begins + length:
        begins, length, number = begins + length, length * factor, number + 1
    return k - begins, length, number


def restarted(k: int, first: float, factor: float) -> float:
    done, length, _ = cycle_of(k, first, factor)
    return 0.1 + 0.2 * half_cosine(done / length)


def decayed(k: int) -> float:
    """100 examples in batches of 8 are 13 updates; the first restart has 2 epochs."""
    epochs = cycle_of(k, 26, 2)[1] / 13
    return 0.05 * math.sqrt(8 / (100 * epochs))


def tooth(k: int, half: int) -> float:
    """Smith 2017, section 3.1, as its code has it."""
    cycle = math.floor(1 + k / (2 * half))
    return max(0.0, 1 - abs(k / half - 2 * cycle + 1))


def up_and_down(k: int) -> float:
    """Smith & Topin's cycle with cosines: 30 updates up to the peak at index 29, 70 down."""
    if k < 29:
        return 0.02 + 0.48 * (1 - half_cosine(k / 29))
    return 2e-6 + (0.5 - 2e-6) * half_cosine((k - 29) / 70)


def trapezium(k: int) -> float:
    return min((k + 1) / 5, 1.0, (19 - k) / 10) * 2


def warmed_up(t: int) -> float:
    """Vaswani et al. 2017, equation 3, with steps counted from 1."""
    return 512**-0.5 * min(t**-0.5, t * 100**-1.5)


CASES: dict[str, Case] = {
    "constant": Case(constant(0.3), 0.3, None, lambda k: 0.3),
    "linear": Case(linear(1, 0.5, steps=11), 1, 0.5, lambda k: 1 - 0.05 * k),
    "warmup": Case(warmup(40), 1 / 40, 1, lambda k: (k + 1) / 40),
    "step_decay": Case(
        step_decay(0.8, every=7, factor=0.3), 0.8, None, lambda k: 0.8 * 0.3 ** (k // 7)
    ),
    "piecewise": Case(
        piecewise([3, 2, 5], at=[10, 25]), 3, None, lambda k: 3 if k < 10 else 2 if k < 25 else 5
    ),
    "exponential": Case(
        exponential(2, factor=0.9), 2, None, lambda k: 2 * math.exp(k * math.log(0.9))
    ),
    "inverse_time": Case(inverse_time(3, rate=0.25), 3, None, lambda k: 3 / (1 + k / 4)),
    "polynomial": Case(
        polynomial(2, steps=41, power=3, end=1), 2, 1, lambda k: 1 + ((40 - k) / 40) ** 3
    ),
    "vaswani": Case(
        vaswani(512, warmup=100), 512**-0.5 * 1e-3, None, lambda k: warmed_up(k + 1)
    ),
    "cosine": Case(
        cosine(0.3, steps=101, floor=0.1), 0.3, 0.1, lambda k: 0.1 + 0.2 * half_cosine(k / 100)
    ),
    "warm_restarts": Case(
        warm_restarts(0.3, first=7, factor=3, floor=0.1), 0.3, None, lambda k: restarted(k, 7, 3)
    ),
    "normalized_decay": Case(
        normalized_decay(0.05, batch=8, examples=100, first=2), 0.05 * 0.2, None, decayed
    ),
    "triangular": Case(triangular(1, 3, half=8), 1, None, lambda k: 1 + 2 * tooth(k, 8)),
    "triangular2": Case(
        triangular2(1, 3, half=8), 1, None, lambda k: 1 + 2 * tooth(k, 8) / 2 ** (k // 16)
    ),
    "exp_range": Case(
        exp_range(1, 3, half=8, factor=0.99), 1, None, lambda k: 1 + 2 * tooth(k, 8) * 0.99**k
    ),
    "one_cycle": Case(one_cycle(0.5, steps=100), 0.02, 2e-6, up_and_down),
    "warmup_stable_decay": Case(
        warmup_stable_decay(2, steps=20, warmup=5, stable=5), 0.4, 0, trapezium
    ),
    "snapshot_cosine": Case(
        snapshot_cosine(2, steps=23, cycles=4), 2, 2 * half_cosine(4 / 6),
        lambda k: math.cos(math.pi * (k % 6) / 6) + 1,
    ),
}  # fmt: skip

every_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def test_every_kind_is_in_the_table() -> None:
    assert list(CASES) == list(catalogue)


@every_case
def test_the_first_update_uses_the_value_at_zero(case: Case) -> None:
    assert case.made(0) == pytest.approx(case.first, rel=1e-15)


@every_case
def test_the_last_update_uses_the_last_value_and_it_stays(case: Case) -> None:
    horizon = case.made.horizon
    assert (horizon is None) == (case.last is None)
    if horizon is not None:
        assert case.made(horizon - 1) == pytest.approx(case.last, rel=1e-12, abs=1e-17)
        for later in (horizon, horizon + 1, 10 * horizon, 10**12):
            assert case.made(later) == case.made(horizon - 1), later


@every_case
def test_every_value_is_that_of_the_formula(case: Case) -> None:
    count = case.made.horizon or 700
    for k in range(count):
        assert case.made(k) == pytest.approx(case.formula(k), rel=1e-12, abs=1e-16), k


@every_case
def test_many_updates_at_once_are_each_of_them_alone_to_the_last_bit(case: Case) -> None:
    together = case.made(np.arange(700))
    assert together.dtype == np.float64
    np.testing.assert_array_equal(together, [case.made(k) for k in range(700)])
    np.testing.assert_array_equal(case.made(np.arange(700).reshape(7, 100)).ravel(), together)


@every_case
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_is_the_same_schedule(case: Case, copied: Callable) -> None:
    other = copied(case.made)
    assert other.value is case.made.value
    assert [other(k) for k in range(50)] == [case.made(k) for k in range(50)]


# Restarts, and numbers that must be exact.

RESTARTS = [
    (first, factor) for first in (1, 2, 3, 7, 10, 11, 100, 12_345) for factor in (1, 2, 3, 4, 5, 10)
]


@pytest.mark.parametrize(("first", "factor"), [*RESTARTS, (2, 1.5), (8, 2.5), (10, 1.1)])
def test_a_restart_is_exactly_at_the_maximum(first: int, factor: float) -> None:
    made = warm_restarts(0.3, first=first, factor=factor)
    begins, length = 0.0, float(first)
    while begins < min(2**40, 200 * length) and begins == int(begins):
        assert made(begins) == 0.3, begins
        assert length == 1 or made(begins + length // 2) < 0.3
        assert length <= factor or made(max(begins - 1, 1)) < 0.3
        begins, length = begins + length, length * factor


def test_the_ends_of_cycles_are_those_of_the_paper() -> None:
    begins = [k for k in range(151) if warm_restarts(1, first=1)(k) == 1]
    assert [k for k in begins if k > 2] == [3, 7, 15, 31, 63, 127]
    assert [k for k in range(151) if warm_restarts(1, first=10)(k) == 1] == [0, 10, 30, 70, 150]
    for first, factor, at in ((1, 3, 121), (1, 10, 111)):
        assert warm_restarts(1, first=first, factor=factor)(at) == 1


def test_an_end_is_exact() -> None:
    assert cosine(0.3, steps=101)(100) == 0
    assert linear(1, 0, steps=11)(10) == 0
    assert [linear(0, 10, steps=11)(k) for k in range(11)] == list(range(11))
    assert [linear(0, 49, steps=50)(k) for k in range(50)] == pytest.approx(range(50), rel=1e-15)
    assert polynomial(0.7, steps=37, power=1.5)(36) == 0
    assert warmup_stable_decay(0.7, steps=37, warmup=3, stable=5)(36) == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 49, 1000])
def test_a_warm_up_is_never_zero_and_ends_at_one(steps: int) -> None:
    values = warmup(steps)(np.arange(steps))
    assert values.min() == 1 / steps
    assert values[-1] == 1
    assert (cosine(0.3, steps=1000).after(warmup(steps))(np.arange(steps)) > 0).all()


@pytest.mark.parametrize(
    "made",
    [
        linear(0.3, 0, steps=1), cosine(0.3, steps=1), polynomial(0.3, steps=1),
        snapshot_cosine(0.3, steps=1, cycles=1),
    ],
)  # fmt: skip
def test_a_run_of_one_update_uses_the_first_value(made: Schedule) -> None:
    assert made(0) == made(1) == 0.3


@pytest.mark.parametrize("steps", [1, 7, 30, 49, 120, 1001])
def test_the_cycles_of_snapshots_have_the_length_rounded_up(steps: int) -> None:
    for cycles in range(1, steps + 1):
        values = snapshot_cosine(1, steps=steps, cycles=cycles)(np.arange(steps))
        length = -(-steps // cycles)
        assert np.flatnonzero(values == 1).tolist() == list(range(0, steps, length)), cycles


# Torch's schedulers that mean the same.

THEIRS: dict[str, tuple[Schedule, Callable[[Any], Any]]] = {
    "constant": (constant(0.5), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    "linear": (
        linear(0.5, 0.05, steps=31), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, total_iters=30)
    ),
    "step_decay": (step_decay(0.5, every=7), lambda o: lr_scheduler.StepLR(o, 7, 0.5)),
    "piecewise": (
        piecewise([0.5, 0.05, 0.005], at=[9, 30]), lambda o: lr_scheduler.MultiStepLR(o, [9, 30])
    ),
    "exponential": (exponential(0.5, factor=0.9), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
    "polynomial": (
        polynomial(0.5, steps=41, power=2), lambda o: lr_scheduler.PolynomialLR(o, 40, 2.0)
    ),
    "cosine": (
        cosine(0.5, steps=81, floor=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, 80, 0.1)
    ),
    "warm_restarts": (
        warm_restarts(0.5, first=5), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5, 2)
    ),
    "triangular": (
        triangular(0.5, 3, half=8),
        lambda o: lr_scheduler.CyclicLR(o, 0.5, 3, 8, cycle_momentum=False),
    ),
    "triangular2": (
        triangular2(0.5, 3, half=8),
        lambda o: lr_scheduler.CyclicLR(o, 0.5, 3, 8, mode="triangular2", cycle_momentum=False),
    ),
    "exp_range": (
        exp_range(0.5, 3, half=8, factor=0.9),
        lambda o: lr_scheduler.CyclicLR(
            o, 0.5, 3, 8, mode="exp_range", gamma=0.9, cycle_momentum=False
        ),
    ),
    "one_cycle": (
        one_cycle(0.5, steps=80),
        lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=80, cycle_momentum=False),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
def test_it_is_torchs_scheduler_of_that_meaning(name: str) -> None:
    ours, make = THEIRS[name]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = make(optimizer)
    for k in range(80):
        assert ours(k) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9, abs=1e-12), k
        optimizer.step()
        if k < 79:
            theirs.step()


# Lanes.


def made_from(name: str, number: float) -> Schedule:
    """A schedule of each kind, all of whose settings depend on a number."""
    kind, whole = catalogue[name], int(number)
    settings: dict[str, Any] = {
        key: [each * number for each in value]
        if isinstance(value, list)
        else value * whole
        if isinstance(value, int)
        else value / number
        for key, value in kind.example.items()
    }
    if name == "piecewise":
        settings["at"] = [each * whole for each in kind.example["at"]]
    return kind(**settings)


@pytest.mark.parametrize("name", catalogue)
def test_lanes_are_each_of_them_alone_to_the_last_bit(name: str) -> None:
    alone = [made_from(name, number) for number in (1.0, 2.7, 3.1, 5.0, 1.1)]
    together = lanes(alone)
    assert together.lanes == 5
    for k in (0, 1, 99, 100, 101, 333, 998, 999, 1000, 12_345):
        values = together(k)
        assert values.shape == (5,)
        assert values.tolist() == [each(k) for each in alone], k
    many = together(np.arange(400))
    assert many.shape == (400, 5)
    np.testing.assert_array_equal(many, np.stack([each(np.arange(400)) for each in alone], 1))


def test_lanes_each_hold_their_own_last_value() -> None:
    together = lanes(cosine(1, steps=steps, floor=0.1 * steps) for steps in (2, 5, 9))
    assert together.horizon == 9
    assert together(5).tolist() == [0.2, 0.5, cosine(1, steps=9, floor=0.9)(5)]
    assert together(10**6).tolist() == pytest.approx([0.2, 0.5, 0.9])


def test_lanes_may_restart_by_different_factors() -> None:
    alone = [warm_restarts(0.3, first=5, factor=factor) for factor in (1, 2, 3, 1.5)]
    for k in range(300):
        assert lanes(alone)(k).tolist() == [each(k) for each in alone], k


def test_lanes_of_warmed_up_products_are_each_of_them_alone() -> None:
    alone = [
        (cosine(lr, steps=90) * step_decay(1, every=every) * 2).after(warmup(10))
        for lr, every in ((0.1, 5), (0.2, 7), (0.3, 5))
    ]
    after = lanes(cosine(lr, steps=90) for lr in (0.1, 0.2)).after(warmup(10))
    for k in range(120):
        assert lanes(alone)(k).tolist() == [each(k) for each in alone], k
        expected = [cosine(lr, steps=90).after(warmup(10))(k) for lr in (0.1, 0.2)]
        assert after(k).tolist() == expected
