"""Every schedule at its ends, in between against its paper's formula, and beyond its horizon."""

import math

import numpy as np
import pytest
from typer.testing import CliRunner

from thalweg.cli import app
from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.schedules import (
    Schedule,
    catalogue,
    constant,
    cosine,
    exp_range,
    exponential,
    find,
    inverse_time,
    join,
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

MADE: dict[str, tuple[Schedule, dict[int, float]]] = {
    "constant": (constant(0.3), {0: 0.3, 10**6: 0.3}),
    "linear": (linear(1, 0, steps=11), {0: 1, 5: 0.5, 10: 0, 11: 0, 10**6: 0}),
    "warmup": (warmup(4), {0: 0.25, 3: 1, 4: 1, 99: 1}),
    "step_decay": (step_decay(0.8, every=3), {0: 0.8, 2: 0.8, 3: 0.4, 6: 0.2}),
    "piecewise": (piecewise([3, 2, 1], at=[10, 20]), {0: 3, 9: 3, 10: 2, 19: 2, 20: 1, 99: 1}),
    "exponential": (exponential(2, factor=0.5), {0: 2, 3: 0.25}),
    "inverse_time": (inverse_time(1, rate=0.5), {0: 1, 2: 0.5, 18: 0.1}),
    "polynomial": (polynomial(1, steps=11, power=2), {0: 1, 5: 0.25, 10: 0, 50: 0}),
    "vaswani": (
        vaswani(512),
        {0: 512**-0.5 * 4000**-1.5, 3999: (512 * 4000) ** -0.5, 15999: (512 * 16000) ** -0.5},
    ),
    "cosine": (cosine(0.3, steps=101), {0: 0.3, 50: 0.15, 100: 0, 101: 0, 10**6: 0}),
    "warm_restarts": (warm_restarts(1, first=10), {0: 1, 5: 0.5, 10: 1, 20: 0.5, 30: 1, 70: 1}),
    "normalized_decay": (
        normalized_decay(0.1, batch=10, examples=100, first=1),
        {0: 0.1 * 0.1**0.5, 9: 0.1 * 0.1**0.5, 10: 0.1 * 0.05**0.5, 30: 0.1 * 0.025**0.5},
    ),
    "triangular": (triangular(1, 3, half=4), {0: 1, 4: 3, 6: 2, 8: 1, 12: 3}),
    "triangular2": (triangular2(1, 3, half=4), {0: 1, 4: 3, 8: 1, 12: 2, 20: 1.5}),
    "exp_range": (exp_range(0, 1, half=4, factor=0.5), {0: 0, 4: 0.5**4, 8: 0, 12: 0.5**12}),
    "one_cycle": (one_cycle(1, steps=100), {0: 0.04, 29: 1, 99: 4e-6, 500: 4e-6}),
    "warmup_stable_decay": (
        warmup_stable_decay(1, steps=20, warmup=5, stable=5),
        {0: 0.2, 4: 1, 5: 1, 9: 1, 10: 0.9, 19: 0, 30: 0},
    ),
    "snapshot_cosine": (
        snapshot_cosine(1, steps=20, cycles=4),
        {0: 1, 4: 0.5 * (math.cos(math.pi * 0.8) + 1), 5: 1, 15: 1},
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_its_value_at_an_update_is_that_of_its_formula(name: str) -> None:
    made, expected = MADE[name]
    for index, value in expected.items():
        assert made(index) == pytest.approx(value, rel=1e-12, abs=1e-15), index


def test_every_kind_is_tested_here() -> None:
    assert set(MADE) == set(catalogue)


def test_the_last_update_of_a_restart_cycle_is_slightly_above_the_floor() -> None:
    assert warm_restarts(1, first=10)(9) == pytest.approx(0.0245, abs=1e-4)


def test_a_warm_up_adds_its_updates_in_front() -> None:
    made = cosine(3e-4, steps=100).after(warmup(50))
    assert made.horizon == 150
    assert made(0) == pytest.approx(3e-4 / 50)
    assert made(49) == pytest.approx(3e-4)
    assert made(50) == 3e-4
    assert made(149) == made(10**5) == 0


def test_joined_schedules_each_begin_anew() -> None:
    made = join(linear(0, 1, steps=3), linear(5, 7, steps=3), constant(9))
    assert [made(k) for k in range(8)] == [0, 0.5, 1, 5, 6, 7, 9, 9]
    with pytest.raises(BadValue, match="without a horizon can only come last"):
        join(constant(1), linear(0, 1, steps=3))


def test_products_are_of_values_at_the_same_update() -> None:
    made = 2 * linear(0, 1, steps=5) * step_decay(1, every=2)
    assert [made(k) for k in range(5)] == [0, 0.5, 0.5, 0.75, 0.5]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: cosine(0.1), BadType, r"missing .*'steps'.*called as cosine\(value, \*, steps"),
        (lambda: cosine(0.1, steps=0), BadValue, "steps=0; expected a whole number of at least 1"),
        (lambda: cosine(0.1, steps=2.5), BadValue, "steps=2.5; expected a whole number"),
        (lambda: linear(0, math.nan, steps=3), BadType, "end=nan; expected a finite number"),
        (lambda: warm_restarts(1, first=5, factor=0.5), BadValue, "cycles cannot get shorter"),
        (lambda: warmup_stable_decay(1, steps=9, warmup=5, stable=4), BadValue, "leave none of 9"),
        (lambda: snapshot_cosine(1, steps=3, cycles=4), BadValue, "4 cycles in 3 steps"),
        (lambda: piecewise([1, 2], at=[3, 4]), BadValue, "2 values at"),
        (lambda: constant(1)(-1), BadValue, "0 for the first; it was given -1"),
        (lambda: constant(1)(0.5), BadValue, "it was given 0.5"),
        (lambda: constant(1)(math.nan), BadValue, "it was given nan"),
        (lambda: constant(1)(np.array([3, -2])), BadValue, "it was given -2"),
        (lambda: constant(1)("first"), BadType, "the index of an update, not str"),
        (lambda: cosine(0.1, stepz=3), BadType, "'stepz' is unknown. Did you mean 'steps'"),
        (lambda: one_cycle(0.1, steps=9, rise=1.0), BadValue, "one_cycle: rise=1.0 is a share"),
        (lambda: piecewise(1, at=[3]), BadType, "expected a list of each"),
        (lambda: cosine(0.1, steps=9).after(warmup(10)), BadValue, "9 updates is shorter than"),
        (lambda: lanes([]), BadType, "takes schedules of one number each"),
        (lambda: lanes([cosine(1, steps=3), constant(1)]), BadValue, "schedules of one form"),
        (
            lambda: lanes([constant(1), constant(2)]) * lanes([constant(1)]),
            BadValue,
            "of 2 lanes does not go with one of 1",
        ),
        (lambda: constant(1).after(constant(2)), BadType, r"such as warmup\(500\)"),
        (lambda: find("cosin"), UnknownName, "Did you mean 'cosine'"),
    ],
)
def test_what_cannot_be_used_is_refused(make, error, words) -> None:
    with pytest.raises(error, match=words):
        make()


def test_the_command_lists_every_kind_and_how_it_is_called() -> None:
    shown = CliRunner().invoke(app, ["schedules"])
    assert shown.exit_code == 0
    for kind in catalogue.values():
        assert kind.name in shown.output
    assert "cosine(value, *, steps, floor=0.0)" in shown.output
