"""Elastic averaging is stable up to where its composed map says, and not beyond."""

import numpy as np
import pytest
from numpy.typing import NDArray
from small import Point, bowl, job

from thalweg.parallel import Elastic, InProcess, Progress

ROUNDS = 300


def turn(p: int, i: int, lr: float, alpha: float) -> NDArray:
    """What the turn of worker i makes of all places and the centre, on the unit bowl."""
    made = np.eye(p + 1)
    made[i, i], made[i, p] = 1 - lr - alpha, alpha
    made[p, i], made[p, p] = alpha, 1 - alpha
    return made


def round_robin(p: int, lr: float, alpha: float) -> NDArray:
    whole = np.eye(p + 1)
    for i in range(p):
        whole = turn(p, i, lr, alpha) @ whole
    return whole


def at_once(p: int, lr: float, alpha: float) -> NDArray:
    whole = np.eye(p + 1)
    for i in range(p):
        whole += turn(p, i, lr, alpha) - np.eye(p + 1)
    return whole


def radius(matrix: NDArray) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def boundary(p: int, lr: float, synchronous: bool) -> float:
    """The smallest alpha at which the map's spectral radius reaches one."""
    of = at_once if synchronous else round_robin
    alphas = np.linspace(1e-3, 3, 3000)
    first = next(k for k, alpha in enumerate(alphas) if radius(of(p, lr, alpha)) > 1 + 1e-12)
    low, high = alphas[first - 1], alphas[first]
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if radius(of(p, lr, middle)) <= 1 else (low, middle)
    return float(low)


def measured(p: int, lr: float, alpha: float, synchronous: bool) -> float:
    """The factor by which the centre grows in a round, late in a run of the engine."""
    centres: list[float] = []

    def watch(progress: Progress) -> None:
        values = progress.values()
        assert values is not None
        centres.append(abs(float(values)))

    algorithm = Elastic(lr, period=1, alpha=alpha, synchronous=synchronous)
    InProcess().run(job(Point(1.0), bowl, algorithm, p * ROUNDS, workers=p, every=p, watch=watch))
    window = ROUNDS // 5
    early, late = max(centres[window : 2 * window]), max(centres[-window - 1 : -1])
    return (late / early) ** (1 / (ROUNDS - 1 - 2 * window))


CASES = [(1, 1.0, False), (2, 1.0, False), (3, 0.5, False), (4, 1.5, False), (3, 0.8, True)]


@pytest.mark.parametrize(("p", "lr", "synchronous"), CASES)
def test_the_boundary_is_that_of_the_composed_map(p: int, lr: float, synchronous: bool) -> None:
    """Two per cent below it the centre comes to rest, two per cent above it does not."""
    edge = boundary(p, lr, synchronous)
    assert measured(p, lr, 0.98 * edge, synchronous) < 1
    assert measured(p, lr, 1.02 * edge, synchronous) > 1


@pytest.mark.parametrize(
    ("p", "lr", "synchronous", "published"),
    [
        (3, 0.5, False, (4 - 2 * 0.5) / (4 - 0.5)),
        (2, 1.0, False, 0.5**0.5),
        (3, 0.8, True, (4 - 2 * 0.8) / (2 * 3 + 2 - 3 * 0.8)),
    ],
)
def test_the_composed_map_has_the_published_boundary(
    p: int, lr: float, synchronous: bool, published: float
) -> None:
    """For an odd number in turns, for two of them, where it is narrower, and for all at once."""
    assert boundary(p, lr, synchronous) == pytest.approx(published, rel=1e-6)


@pytest.mark.parametrize(("p", "lr", "alpha"), [(2, 1.0, 0.6), (3, 0.5, 0.8)])
def test_the_centre_comes_to_rest_as_fast_as_the_map_says(p: int, lr: float, alpha: float) -> None:
    found, expected = measured(p, lr, alpha, False), radius(round_robin(p, lr, alpha))
    assert found == pytest.approx(expected, rel=0.02)
