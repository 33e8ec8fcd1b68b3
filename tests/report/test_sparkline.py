"""A curve in one line is true to its steps and heights, and shows what is no number."""

import math

from thalweg.report.sparkline import scale, sparkline


def _drawn(*curves, width=40):
    on = scale(curves)
    return [sparkline(curve, on, width) for curve in curves]


def test_the_lowest_and_highest_values_get_the_lowest_and_highest_character():
    assert _drawn([(step, float(step)) for step in range(8)]) == ["▁▂▃▄▅▆▇█"]


def test_values_over_a_decade_are_drawn_in_logarithm():
    curve = [(step, 10.0**step) for step in range(8)]
    assert scale([curve]).logarithmic
    assert _drawn(curve) == ["▁▂▃▄▅▆▇█"]
    assert not scale([[(0, -1.0), (1, 100.0)]]).logarithmic


def test_curves_that_are_compared_share_steps_and_heights():
    long, short = _drawn([(step, 8.0 - step) for step in range(8)], [(0, 8.0), (1, 1.0)])
    assert long == "█▇▆▅▄▃▂▁"
    assert short == "█▁"


def test_more_points_than_characters_are_averaged():
    curve = [(step, float(step % 2)) for step in range(80)]
    assert _drawn([*curve, (80, 0.0), (81, 1.0)], width=41) == ["▅" * 41]


def test_a_step_without_a_value_is_a_gap():
    assert _drawn([(0, 1.0), (3, 2.0)]) == ["▁  █"]


def test_what_is_no_number_is_marked_and_does_not_set_the_scale():
    assert _drawn([(0, 1.0), (1, 2.0), (2, math.inf), (3, math.nan)]) == ["▁█××"]
    assert _drawn([(0, math.nan), (1, math.inf)]) == ["××"]


def test_one_curve_that_diverges_does_not_flatten_the_others():
    falling = [(step, 1.0 / (step + 1)) for step in range(20)]
    lines = _drawn(falling, falling, [(step, 10.0**step) for step in range(20)])
    assert len(set(lines[0])) > 3
    assert lines[2].endswith("█" * 10)


def test_a_constant_curve_and_enormous_values_can_be_drawn():
    assert _drawn([(0, 3.0), (1, 3.0)]) == ["▁▁"]
    assert _drawn([(0, -1e308), (1, 1e308)]) == ["▁█"]
