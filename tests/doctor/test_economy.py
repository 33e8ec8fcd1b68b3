"""What a batch size costs, against the best of all sizes, tried one by one."""

import numpy as np
import pytest

from thalweg.doctor.economy import economy
from thalweg.doctor.evidence import Evidence, NoiseScale, Step

UPDATE, EXAMPLE = 1e-3, 2e-6


def seen(batch: int) -> Evidence:
    return Evidence(steps=[Step(k, seconds=UPDATE + EXAMPLE * batch) for k in range(1, 9)])


def noise(batch: int, seconds: float | None = EXAMPLE) -> NoiseScale:
    return NoiseScale(8, 300.0, 200.0, 400.0, batch, seconds=seconds)


@pytest.mark.parametrize("batch", [4, 64, 4096])
def test_the_best_batch_is_the_best_of_all_that_are_tried(batch: int) -> None:
    sizes = np.arange(1, 20_000)
    times = (1 + 300 / sizes) * (UPDATE + EXAMPLE * sizes)
    told = economy(seen(batch), noise(batch), 300.0)
    assert told is not None
    assert told.best == pytest.approx(sizes[times.argmin()], abs=1)
    assert told.cost == pytest.approx(times[batch - 1] / times.min() - 1, rel=1e-3)


def test_without_times_the_best_is_the_noise_scale_itself() -> None:
    told = economy(seen(3000), noise(3000, None), 300.0)
    assert told is not None
    assert not told.seconds
    assert told.best == 300
    assert told.cost == pytest.approx(1.1 * 3000 / (2 * 300) - 1)


@pytest.mark.parametrize("scale", [0.0, float("inf")])
def test_a_scale_that_is_not_known_says_nothing(scale: float) -> None:
    assert economy(seen(32), noise(32), scale) is None
