"""Every number of a board is checked against brute force, a closed form or a simulation."""

import itertools
import math
import statistics as plain

import numpy
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from thalweg.errors import BadValue
from thalweg.racing.statistics import (
    FEWEST_SEEDS,
    INCLUDES,
    Comparison,
    Estimate,
    difference,
    expected_best,
    median,
    median_best,
    profiles,
    ratio,
    reached,
    sensitivity,
    undertuned,
)
from thalweg.rules import find

INF, NAN = math.inf, math.nan
some_numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)
some_outcomes = st.lists(st.one_of(st.floats(-100, 100), st.just(INF)), min_size=1, max_size=7)


def _every_resampled_median(values):
    return sorted(plain.median(each) for each in itertools.product(values, repeat=len(values)))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_the_interval_is_that_of_all_resamples_counted_one_by_one(count):
    values = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0][:count]
    medians = _every_resampled_median(values)
    out = math.ceil(0.025 * len(medians))
    assert median(values) == (plain.median(values), medians[out - 1], medians[-out])


@pytest.mark.parametrize("count", [10, 15])
def test_the_interval_is_that_of_very_many_random_resamples(count):
    values = numpy.random.default_rng(count).lognormal(size=count)
    drawn = scipy.stats.bootstrap(
        (values,), numpy.median, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    found = median(values.tolist())
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), rel=1e-12)


@pytest.mark.parametrize("count", [FEWEST_SEEDS, 10, 15])
@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential", "standard_cauchy"])
def test_the_interval_holds_the_median_in_about_95_percent_of_experiments(count, draw):
    true = {"standard_exponential": math.log(2)}.get(draw, 0.0)
    samples = getattr(numpy.random.default_rng(count), draw)((1500, count)).tolist()
    held = sum(found.low <= true <= found.high for found in map(median, samples))
    assert 0.92 <= held / len(samples) <= 0.975


@given(values=some_numbers)
def test_the_median_lies_in_its_interval_and_the_interval_in_the_values(values):
    found = median(values)
    assert min(values) <= found.low <= found.value <= found.high <= max(values)


@given(values=some_numbers)
def test_an_interval_turned_round_is_the_interval_of_the_values_turned_round(values):
    found = median(values)
    assert median([-value for value in values]) == (-found.value, -found.high, -found.low)


def test_the_order_of_the_values_does_not_matter():
    assert len({median(each) for each in itertools.permutations([3.0, 1.0, INF, 2.0])}) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0, INF], (3.0, 1.0, INF)),
        ([1.0, INF], (INF, 1.0, INF)),
        ([1.0, INF, INF], (INF, 1.0, INF)),
        ([INF, INF, INF], (INF, INF, INF)),
        ([1.0, NAN, 2.0], (2.0, 1.0, INF)),
        ([-INF, INF], (0.0, -INF, INF)),
        ([-INF, 5.0], (-INF, -INF, 5.0)),
        ([7.0], (7.0, 7.0, 7.0)),
        ([1e308, 1.5e308], (1.25e308, 1e308, 1.5e308)),
    ],
)
def test_failures_are_infinite_and_stay_so(values, expected):
    assert median(values) == expected


def test_one_failure_in_ten_leaves_the_interval_finite_and_three_do_not():
    assert median([*range(9), INF]).high < INF
    assert median([*range(7), INF, INF, INF]).high == INF


def test_no_values_have_no_median():
    with pytest.raises(BadValue, match="values should be at least one number"):
        median([])


def test_a_difference_is_taken_seed_by_seed():
    noise = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    found = difference([each + 1.0 for each in noise], noise)
    assert found == Comparison(Estimate(1.0, 1.0, 1.0), 6, 0.0)
    assert found.higher
    assert not found.lower


@pytest.mark.parametrize(
    ("these", "those", "expected"),
    [(INF, 1.0, INF), (1.0, INF, -INF), (INF, INF, 0.0), (NAN, INF, 0.0), (-INF, 1.0, INF)],
)
def test_failures_lose_to_everything_and_tie_with_each_other(these, those, expected):
    assert difference([these] * 6, [those] * 6).estimate == (expected,) * 3


def test_failures_on_both_sides_in_equal_number_show_no_difference():
    these, those = [INF] * 5 + [1.0] * 5, [1.0] * 5 + [INF] * 5
    found = difference(these, those)
    assert found.estimate == (0.0, -INF, INF)
    assert not found.shown


@given(pairs=st.lists(st.tuples(*[st.one_of(st.floats(0, 9), st.just(INF))] * 2), min_size=1))
def test_turning_the_question_round_turns_the_answer_round(pairs):
    these, those = ([pair[side] for pair in pairs[:9]] for side in (0, 1))
    there, back = difference(these, those), difference(those, these)
    assert (there.lower, there.higher) == (back.higher, back.lower)
    there, back = ratio(these, those), ratio(those, these)
    assert (there.lower, there.higher) == (back.higher, back.lower)


@pytest.mark.parametrize("seeds", range(1, 12))
def test_too_few_seeds_show_nothing_however_clear_they_look(seeds):
    chance_that_all_agree = 2 * 0.5**seeds
    found = difference([1000.0 + seed for seed in range(seeds)], [1.0] * seeds)
    assert found.shown is (chance_that_all_agree <= 0.05)


def test_a_difference_that_changes_its_sign_from_seed_to_seed_is_not_shown():
    found = difference([1.0, 3.0] * 5, [2.0] * 10)
    assert (found.shown, found.lower, found.higher) == (False, False, False)


def test_rules_that_do_not_differ_are_called_different_about_one_time_in_twenty():
    draws = numpy.random.default_rng(3).standard_normal((1500, 2, 10)).tolist()
    shown = sum(difference(these, those).shown for these, those in draws)
    assert 0.03 <= shown / len(draws) <= 0.075


def test_a_clear_difference_is_shown():
    draws = numpy.random.default_rng(4).standard_normal((100, 2, 10))
    shown = sum(difference((a + 3).tolist(), b.tolist()).higher for a, b in draws)
    assert shown >= 95


def test_a_ratio_is_the_middle_on_a_logarithmic_scale():
    found = ratio([1.0, 4.0], [1.0, 1.0])
    assert found.estimate == pytest.approx((2.0, 1.0, 4.0))


@pytest.mark.parametrize(
    ("this", "that", "expected"),
    [(INF, 5.0, INF), (5.0, INF, 0.0), (INF, INF, 1.0), (0.0, 0.0, 1.0), (0.0, 5.0, 0.0),
     (5.0, 0.0, INF), (INF, 0.0, INF), (6.0, 3.0, 2.0)],
)  # fmt: skip
def test_ratios_of_failures_and_zeros_are_what_they_tend_to(this, that, expected):
    assert ratio([this] * 6, [that] * 6).estimate == pytest.approx((expected,) * 3)


def test_a_ratio_of_one_is_no_difference():
    assert not ratio([2.0] * 9, [2.0] * 9).shown
    assert ratio([2.0] * 9, [1.0] * 9).higher
    assert ratio([1.0] * 9, [2.0] * 9).lower


@pytest.mark.parametrize("compare", [difference, ratio])
def test_unpaired_values_are_refused(compare):
    with pytest.raises(BadValue, match="got 2 and 3"):
        compare([1.0, 2.0], [1.0, 2.0, 3.0])


def test_a_ratio_of_negative_values_is_refused():
    with pytest.raises(BadValue, match="at least 0, got -1"):
        ratio([-1.0, 2.0], [1.0, 2.0])


CURVE = [(0, 3.0), (10, 2.0), (20, NAN), (30, 0.5), (40, 1.5), (50, 0.4)]


@pytest.mark.parametrize(
    ("target", "where"),
    [(3.5, 0.0), (2.0, 10.0), (1.99, 30.0), (0.5, 30.0), (0.45, 50.0), (0.39, INF), (INF, 0.0)],
)
def test_a_target_is_reached_where_it_was_first_measured(target, where):
    assert reached(CURVE, target) == where


def test_a_curve_without_measurements_reaches_nothing():
    assert reached([], 1.0) == INF


def test_a_target_that_is_no_number_is_refused():
    with pytest.raises(BadValue, match="target is not a number"):
        reached(CURVE, NAN)


@given(losses=some_outcomes, data=st.data())
def test_the_best_to_be_expected_is_that_of_all_picks_counted_one_by_one(losses, data):
    trials = data.draw(st.integers(1, len(losses)))
    lowest = sorted(min(pick) for pick in itertools.combinations(losses, trials))
    expected = INF if INF in lowest else math.fsum(lowest) / len(lowest)
    assert expected_best(losses, trials) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert median_best(losses, trials) == lowest[(len(lowest) - 1) // 2]


def test_the_best_of_evenly_spaced_losses_has_a_closed_form():
    for trials in range(1, 17):
        found = expected_best(list(range(1, 17)), trials)
        assert found == pytest.approx(17 / (trials + 1), rel=1e-15)


def test_the_best_of_all_trials_is_the_best_trial():
    losses = [0.3, INF, 0.1, NAN]
    assert expected_best(losses, 4) == median_best(losses, 4) == 0.1
    assert expected_best(losses, 3) < INF
    assert expected_best(losses, 2) == INF
    assert (median_best(losses, 2), median_best(losses, 1)) == (0.1, 0.3)


@pytest.mark.parametrize("trials", [0, 4])
@pytest.mark.parametrize("best", [expected_best, median_best])
def test_more_trials_than_there_were_and_none_are_refused(best, trials):
    with pytest.raises(BadValue, match="between 1 and 3 trials"):
        best([1.0, 2.0, 3.0], trials)


@pytest.mark.parametrize(
    ("losses", "share"),
    [
        ([1.0, 1.1, 1.11, 5.0], 0.5),
        ([1.0, INF, NAN, INF], 0.25),
        ([INF, NAN], 0.0),
        ([0.0, 0.0, 0.1], 2 / 3),
        ([-1.0, -0.95, -0.5], 2 / 3),
        ([-INF, 1.0], 0.5),
        ([2.0], 1.0),
    ],
)
def test_sensitivity_is_the_share_of_trials_within_a_tenth_of_the_best(losses, share):
    assert sensitivity(losses) == pytest.approx(share)


def test_a_profile_counts_the_problems_within_each_multiple_of_the_best_time():
    found = profiles({"fast": [10.0, 10.0, INF, 9.0], "slow": [20.0, 50.0, INF, 3.0]})
    assert found["fast"].ratios == (1.0, 1.0, INF, 3.0)
    assert found["slow"].ratios == (2.0, 5.0, INF, 1.0)
    assert [found["slow"].share(each) for each in (1.0, 1.99, 2.0, 5.0)] == [0.25, 0.25, 0.5, 0.75]
    assert found["slow"].steps == [(1.0, 0.25), (2.0, 0.5), (4.0, 0.5)]
    assert found["fast"].steps == [(1.0, 0.5), (3.0, 0.75), (4.0, 0.75)]


def test_the_score_of_a_profile_is_the_area_under_it():
    found = profiles({"fast": [10.0, 10.0, INF, 9.0], "slow": [20.0, 50.0, INF, 3.0]})
    for profile in found.values():
        places = numpy.linspace(1, 4, 30_001)
        area = numpy.mean([profile.share(place) for place in places])
        assert profile.score == pytest.approx(area, abs=1e-3)


def test_a_rule_that_is_fastest_everywhere_scores_one_and_one_that_never_arrives_nothing():
    found = profiles({"best": [1.0, 0.0], "late": [INF, NAN], "stuck": [4.0, 1.0]})
    assert [each.score for each in found.values()] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("times", [{}, {"a": []}, {"a": [1.0], "b": [1.0, 2.0]}])
def test_profiles_over_different_problems_are_refused(times):
    with pytest.raises(BadValue, match="time for each of the same problems"):
        profiles(times)


def test_a_rule_that_loses_to_what_it_contains_is_undertuned():
    (found,) = undertuned({"sgd": [1.0] * 10, "momentum": [1.2] * 10, "lion": [9.0] * 10})
    assert (found.rule, found.lost_to) == ("momentum", "sgd")
    assert found.comparison.estimate.value == pytest.approx(0.2)


def test_adam_answers_for_momentum_and_sgd():
    losses = {"adam": [3.0] * 8, "momentum": [1.0] * 8, "sgd": [2.0] * 8}
    pairs = [(each.rule, each.lost_to) for each in undertuned(losses)]
    assert pairs == [("adam", "momentum"), ("adam", "sgd")]


@pytest.mark.parametrize("momentum", [[0.9] * 10, [1.0] * 10, [0.9, 1.1] * 5])
def test_a_loss_within_the_interval_flags_nobody(momentum):
    assert undertuned({"sgd": [1.0] * 10, "momentum": momentum}) == []


def test_rules_named_by_the_inclusions_exist():
    for rule, inner in INCLUDES.items():
        assert {find(key).key for key in (rule, *inner)} == {rule, *inner}
