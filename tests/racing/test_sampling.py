"""Samplers give points in the unit cube that the seed alone decides, and learn if they can."""

import math
import subprocess
import sys

import pytest

from thalweg.errors import BadType, BadValue, MissingPackage, UnknownName
from thalweg.racing.sampling import Sampler, sampler, samplers

every_sampler = pytest.mark.parametrize("name", samplers)


def _loss(point):
    return math.inf if point[0] > 0.8 else sum((each - 0.3) ** 2 for each in point)


def _searched(given: Sampler, asks=4, number=4):
    """Ask and tell in batches, and return every point with its loss."""
    found = []
    for _ in range(asks):
        points = given.ask(number)
        for point in points:
            given.tell(point, _loss(point))
        found += [(point, _loss(point)) for point in points]
    return found


@every_sampler
@pytest.mark.parametrize("dimensions", [1, 3])
def test_points_lie_in_the_unit_cube_and_are_as_many_as_asked_for(name, dimensions):
    points = sampler(name, dimensions).ask(7)
    assert len(points) == 7
    assert {len(point) for point in points} == {dimensions}
    assert all(0.0 <= number <= 1.0 for point in points for number in point)


@every_sampler
def test_the_same_seed_gives_the_same_points(name):
    assert _searched(sampler(name, 2, seed=5)) == _searched(sampler(name, 2, seed=5))


@pytest.mark.parametrize("name", ["sobol", "random", "bayesian"])
def test_another_seed_gives_other_points(name):
    assert sampler(name, 2, seed=1).ask(4) != sampler(name, 2, seed=2).ask(4)


@pytest.mark.parametrize("name", ["sobol", "random"])
def test_points_asked_for_in_parts_are_those_asked_for_at_once(name):
    parts, whole = sampler(name, 3), sampler(name, 3)
    assert parts.ask(3) + parts.ask(1) + parts.ask(9) == whole.ask(13)


@pytest.mark.parametrize("name", ["sobol", "random"])
def test_rules_with_few_and_many_dimensions_share_their_first_numbers(name):
    few, many = sampler(name, 2, seed=3).ask(6), sampler(name, 7, seed=3).ask(6)
    assert few == [point[:2] for point in many]


@pytest.mark.parametrize("seed", range(5))
def test_sixteen_sobol_points_put_one_number_into_each_sixteenth_of_every_dimension(seed):
    points = sampler("sobol", 4, seed=seed).ask(16)
    for numbers in zip(*points, strict=True):
        assert sorted(int(16 * number) for number in numbers) == list(range(16))


@pytest.mark.parametrize(
    ("number", "dimensions", "levels"),
    [(16, 1, [16]), (16, 2, [4, 4]), (16, 3, [4, 2, 2]), (12, 2, [4, 3]), (7, 2, [7, 1]),
     (1, 2, [1, 1])],
)  # fmt: skip
def test_a_grid_has_every_combination_of_its_levels(number, dimensions, levels):
    points = sampler("grid", dimensions).ask(number)
    assert len(set(points)) == number
    assert [len(set(numbers)) for numbers in zip(*points, strict=True)] == levels


def test_the_levels_of_a_grid_are_even_with_both_ends_and_a_single_one_is_the_middle():
    assert sampler("grid", 2).ask(3) == [(0.0, 0.5), (0.5, 0.5), (1.0, 0.5)]


def test_bayesian_search_comes_nearer_than_chance_on_most_seeds():
    def best(name, seed):
        return min(loss for _, loss in _searched(sampler(name, 2, seed=seed), asks=40, number=1))

    wins = sum(best("bayesian", seed) < best("random", seed) for seed in range(12))
    assert wins >= 9


def test_bayesian_search_takes_failures_and_nan_as_the_worst():
    given = sampler("bayesian", 1)
    for point in given.ask(12):
        given.tell(point, math.inf if point[0] < 0.5 else math.nan)
    (point,) = given.ask(1)
    given.tell(point, 0.0)
    assert len(given.ask(2)) == 2


def test_only_bayesian_search_learns():
    assert [name for name, each in samplers.items() if each.learns] == ["bayesian"]


@pytest.mark.parametrize("times", [0, 1])
def test_telling_a_point_that_is_not_waiting_is_refused(times):
    given = sampler("bayesian", 1)
    (point,) = given.ask(1)
    for _ in range(times):
        given.tell(point, 1.0)
    with pytest.raises(BadValue, match="not asked for, or it was told already"):
        given.tell(point if times else (2.0,), 1.0)


def test_bayesian_search_writes_nothing_and_leaves_optunas_verbosity_alone(capfd):
    import optuna

    before = optuna.logging.get_verbosity()
    _searched(sampler("bayesian", 1), asks=1)
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


def test_without_optuna_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPackage, match=r"pip install 'thalweg\[tune\]'"):
        sampler("bayesian", 1)


def test_optuna_and_scipy_are_not_imported_before_they_are_needed():
    code = "import sys, thalweg.racing.sampling; print({'optuna', 'scipy.stats'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_sampler_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match=r"'sobl'. Did you mean 'sobol'\?"):
        sampler("sobl", 1)


@every_sampler
@pytest.mark.parametrize(("dimensions", "seed"), [(0, 0), (1, -1)])
def test_numbers_that_make_no_sampler_are_refused(name, dimensions, seed):
    with pytest.raises(BadValue, match="expected a whole number of at least"):
        sampler(name, dimensions, seed)


@every_sampler
def test_asking_for_no_point_or_a_part_of_one_is_refused(name):
    given = sampler(name, 1)
    with pytest.raises(BadValue, match="number=0"):
        given.ask(0)
    with pytest.raises(BadType, match=r"number=2.5"):
        given.ask(2.5)  # type: ignore[arg-type]


@every_sampler
def test_seeds_as_large_as_a_race_allows_are_taken(name):
    assert len(sampler(name, 1, seed=2**63 - 1).ask(2)) == 2
