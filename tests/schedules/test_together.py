"""Schedules that belong together change together, whatever the size of a batch."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from thalweg.errors import BadType, BadValue
from thalweg.schedules import Schedule, adamwr, batch_growth, linear


def epochs(batch: Schedule, examples: int, count: int) -> Iterator[tuple[int, int]]:
    """Train for so many epochs: the index of every update with the epoch it belongs to."""
    k = 0
    for epoch in range(count):
        seen = 0
        while seen < examples:
            yield k, epoch
            seen += min(int(batch(k)), examples - seen)
            k += 1


@pytest.mark.parametrize(
    ("batch", "every", "factor", "examples"),
    [(128, 60, 5, 50_000), (8, 2, 2, 1000), (10, 3, 2.5, 1003), (100, 1, 2, 999), (1, 4, 3, 70)],
)
def test_the_batch_grows_at_the_epochs_where_the_rate_would_have_fallen(
    batch: int, every: int, factor: float, examples: int
) -> None:
    lr, size = batch_growth(0.1, batch, every=every, factor=factor, examples=examples)
    grown = math.floor(math.log(max(examples / 10 / batch, 1)) / math.log(factor) + 1e-9)
    count = 0
    for k, epoch in epochs(size, examples, 5 * every):
        stage = epoch // every
        expected = int(batch * factor ** min(stage, grown))
        assert int(size(k)) == expected, (k, epoch)
        assert lr(k) == pytest.approx(0.1 / factor ** max(stage - grown, 0), rel=1e-12), (k, epoch)
        count += 1
    assert count <= 5 * every * -(-examples // batch)


def test_the_noise_scale_falls_as_it_would_have_and_updates_are_saved() -> None:
    lr, size = batch_growth(0.1, 16, every=3, factor=2, examples=4096)
    updates = list(epochs(size, 4096, 15))
    for k, epoch in updates:
        assert lr(k) / size(k) == pytest.approx(0.1 / 16 / 2 ** (epoch // 3), rel=1e-12)
    assert len(updates) == 3 * (256 + 128 + 64 + 32 + 16)


def test_a_batch_size_is_a_whole_number_of_at_least_one() -> None:
    made = linear(0.2, 4.9, steps=50).whole()
    values = made(np.arange(60))
    assert set(values) == {1, 2, 3, 4}
    assert [int(made(k)) for k in (0, 49, 59)] == [1, 4, 4]
    assert made.horizon == 50


def test_the_restarts_of_adamwr_change_the_decay_at_the_same_update() -> None:
    settings = adamwr(0.01, 0.05, batch=32, examples=1000, first=2)
    lr, decay = settings["lr"], settings["weight_decay"]
    begins = [k for k in range(1000) if lr(k) == 0.01]
    assert begins == [0, 64, 192, 448, 960]
    changes = [k for k in range(1, 1000) if decay(k) != decay(k - 1)]
    assert changes == begins[1:]
    for number, k in enumerate(begins):
        assert decay(k) == pytest.approx(0.05 * math.sqrt(32 / (1000 * 2 * 2**number)))
    assert settings["base_lr"] == 0.01


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: batch_growth(1, 8, every=1, factor=1, examples=99), BadValue, "factor above 1"),
        (lambda: batch_growth(1, 99, every=1, factor=2, examples=98), BadValue, "no more in a"),
        (lambda: batch_growth(1, 8, every=0, factor=2, examples=99), BadValue, "every=0; expected"),
        (lambda: batch_growth(1, True, every=1, factor=2, examples=99), BadType, "batch=True"),
        (lambda: adamwr(1, 1, batch=0, examples=9, first=1), BadValue, "batch=0; expected"),
        (lambda: adamwr(1, 1, batch=3, examples=9, first=1, factor=0.5), BadValue, "at least 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(make, error, words) -> None:
    with pytest.raises(error, match=words):
        make()
