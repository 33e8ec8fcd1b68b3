"""A schedule named for a run fits into it: never above its value, never negative, as it says."""

import numpy as np
import pytest

from thalweg.errors import BadValue, UnknownName
from thalweg.schedules import catalogue, spread
from thalweg.schedules.spread import depends_on_length, spreads

ENDS = {
    "constant": 1.0, "linear": 0.0, "polynomial": 0.0, "step_decay": 0.01, "exponential": 0.01,
    "inverse_time": 0.1, "cosine": 0.0, "warmup_stable_decay": 0.0,
}  # fmt: skip
"""What share of the value the last update uses, where that is told."""


def values(name: str, steps: int, **how: int) -> np.ndarray:
    return np.broadcast_to(spread(name, 0.5, steps, **how)(np.arange(steps)), (steps,))


@pytest.mark.parametrize("steps", [3, 20, 1000])
@pytest.mark.parametrize("name", spreads)
def test_it_stays_between_zero_and_its_value_in_a_run_of_any_length(name, steps) -> None:
    found = values(name, steps)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 0.5 * (1 + 1e-12)


@pytest.mark.parametrize(("name", "end"), ENDS.items())
def test_the_last_update_uses_the_share_of_the_value_that_is_told(name, end) -> None:
    assert values(name, 900)[-1] == pytest.approx(0.5 * end, abs=1e-12)


def test_restarts_and_triangles_end_with_the_run() -> None:
    cosines = values("warm_restarts", 700)
    assert np.flatnonzero(cosines == 0.5).tolist() == [0, 100, 300]
    triangles = values("triangular", 400)
    assert np.flatnonzero(np.isclose(triangles, 0.5)).tolist() == [100, 300]


def test_snapshots_come_in_five_cycles_or_as_many_as_asked_for() -> None:
    assert np.flatnonzero(values("snapshot_cosine", 100) == 0.5).tolist() == [0, 20, 40, 60, 80]
    asked = values("snapshot_cosine", 100, cycles=2)
    assert np.flatnonzero(asked == 0.5).tolist() == [0, 50]


def test_a_warmup_comes_first_and_the_rest_of_the_run_is_the_schedules() -> None:
    found = values("cosine", 110, warmup=10)
    assert found[:10] == pytest.approx(0.5 * np.arange(1, 11) / 10)
    assert found[10:] == pytest.approx(values("cosine", 100))


def test_every_kind_is_spread_or_refused_with_a_reason() -> None:
    for name in set(catalogue) - set(spreads):
        with pytest.raises(BadValue, match=f"{name}.* by its name: it"):
            spread(name, 0.5, 100)


def test_only_a_constant_does_not_depend_on_the_length_of_the_run() -> None:
    assert [name for name in spreads if not depends_on_length(name)] == ["constant"]


@pytest.mark.parametrize(
    ("error", "message", "how"),
    [
        (UnknownName, "Did you mean 'cosine'", {"name": "cosin", "steps": 10}),
        (BadValue, "leaves none of the run's 10", {"name": "cosine", "steps": 10, "warmup": 10}),
        (BadValue, "steps=0; expected a whole number of", {"name": "cosine", "steps": 0}),
        (BadValue, "no number of cycles", {"name": "cosine", "steps": 10, "cycles": 2}),
        (BadValue, "11 cycles in 10 steps", {"name": "snapshot_cosine", "steps": 10, "cycles": 11}),
    ],
)
def test_what_cannot_be_spread_is_refused(error, message, how) -> None:
    with pytest.raises(error, match=message):
        spread(value=0.5, **how)
