"""A space gives every rule equally many decades, and says where its winner lies on a boundary."""

import math
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.algebra import Range
from thalweg.errors import BadValue, UnknownName
from thalweg.racing.space import DECADES, Axis, space, spaces
from thalweg.rules import catalogue, find, rule, variants

ALL = sorted({name for each in catalogue.values() for name in each.hyperparameters})
LR = Axis("lr", 1e-4, 1e-1)
BETA = Axis("beta", 0.5, 0.999, "log1m", Range(0.0, 1.0, open_high=True))
MIXING = Axis("mixing", -1.0, 3.0, "linear", Range(-2.0, 4.0))
every_axis = pytest.mark.parametrize("axis", [LR, BETA, MIXING], ids=lambda axis: axis.scale)


def _rule(name, lr):
    def compute(g, *, lr=0.1):
        return lr * g

    compute.__annotations__["lr"] = lr
    return rule(name)(compute)


@pytest.mark.parametrize("each", [*catalogue.values(), *variants.values()], ids=lambda e: e.key)
def test_learning_rates_have_the_same_width_in_decades_for_every_rule(each):
    (lr,) = space(each).axes
    low, high = each.hyperparameters["lr"].search
    assert math.log10(lr.high / lr.low) == pytest.approx(DECADES, abs=0.005)
    assert lr.low * lr.high == pytest.approx(low * high, rel=0.01)


def test_only_the_learning_rate_is_searched_unless_more_is_asked_for():
    assert {space(each).names for each in catalogue.values()} == {("lr",)}


def test_what_is_asked_for_is_searched_where_the_rule_has_it_and_lr_comes_first():
    wanted = ["eps", "beta1", "weight_decay"]
    assert space(find("adam"), wanted).names == ("lr", "beta1", "eps")
    assert space(find("adamw"), wanted).names == ("lr", "beta1", "eps", "weight_decay")
    assert space(find("sgd"), wanted).names == ("lr",)


def test_scales_are_logarithmic_for_lr_eps_decay_and_one_minus_beta():
    axes = space(find("adamw"), ["beta1", "beta2", "eps", "weight_decay"]).axes
    scales = {axis.name: axis.scale for axis in axes}
    log1m = dict.fromkeys(["beta1", "beta2"], "log1m")
    assert scales == {**dict.fromkeys(["lr", "eps", "weight_decay"], "log"), **log1m}


def test_lr_is_searched_on_a_log_scale_even_where_the_rule_names_none():
    (lr,) = space(_rule("Plain", Annotated[float, Range(search=(0.01, 1.0))])).axes
    assert (lr.scale, lr.low, lr.high) == ("log", 0.00316, 3.16)


def test_an_lr_without_a_range_is_searched_around_its_default():
    (lr,) = space(_rule("Plain", float)).axes
    assert (lr.low, lr.high) == (0.00316, 3.16)


def test_an_lr_stays_within_its_legal_range():
    (lr,) = space(_rule("Bounded", Annotated[float, Range(0.0, 1.0)])).axes
    assert (lr.low, lr.high) == (0.00316, 1.0)


@every_axis
def test_the_ends_of_the_unit_interval_are_the_ends_of_the_axis(axis):
    assert (axis.value(0.0), axis.value(1.0)) == (axis.low, axis.high)


@pytest.mark.parametrize(
    ("axis", "middle"), [(LR, 0.00316), (BETA, 1 - 0.0224), (MIXING, 1.0)], ids=str
)
def test_the_middle_of_the_unit_interval_is_the_middle_on_the_scale(axis, middle):
    assert axis.value(0.5) == pytest.approx(middle, rel=1e-12)


@every_axis
@given(unit=st.floats(0.0, 1.0))
def test_a_value_leads_back_to_its_place_within_the_rounding(axis, unit):
    value = axis.value(unit)
    assert axis.low <= value <= axis.high
    assert axis.unit(value) == pytest.approx(unit, abs=0.002)


@every_axis
@given(unit=st.floats(0.0, 1.0))
def test_a_value_once_rounded_is_reached_again_exactly(axis, unit):
    value = axis.value(unit)
    assert axis.value(min(max(axis.unit(value), 0.0), 1.0)) == value


def test_values_have_three_digits_so_that_what_is_printed_is_what_was_run():
    assert LR.value(1 / 3) == 1e-3
    assert LR.value(0.3512) == float("1.13e-3")
    assert BETA.value(0.75) == pytest.approx(1 - 0.00473, abs=1e-15)


@pytest.mark.parametrize("unit", [-0.01, 1.01, math.nan])
def test_a_place_outside_the_unit_interval_is_refused(unit):
    with pytest.raises(BadValue, match="between 0 and 1"):
        LR.value(unit)


def test_settings_and_points_lead_to_each_other():
    searched = space(find("adam"), ["beta1", "eps"])
    settings = searched.settings((0.25, 0.5, 0.75))
    assert list(settings) == ["lr", "beta1", "eps"]
    assert searched.point(settings) == pytest.approx((0.25, 0.5, 0.75), abs=0.002)


def test_a_rule_with_fewer_hyperparameters_uses_the_beginning_of_a_point():
    point = (0.25, 0.5, 0.75)
    assert space(find("sgd")).settings(point) == {"lr": space(find("sgd")).axes[0].value(0.25)}


def test_a_point_or_settings_with_too_little_are_refused():
    searched = space(find("adam"), ["eps"])
    with pytest.raises(BadValue, match=r"2 numbers \(lr, eps\), got 1"):
        searched.settings((0.5,))
    with pytest.raises(BadValue, match="lack a value for eps"):
        searched.point({"lr": 0.1})


@pytest.mark.parametrize(
    ("axis", "low", "high"), [(LR, 1e-5, 1.0), (BETA, 0.0, 0.9999), (MIXING, -2.0, 4.0)], ids=str
)
def test_an_extension_is_one_decade_and_stays_legal(axis, low, high):
    assert axis.extended("low").low == low
    assert axis.extended("high").high == high
    assert (axis.extended("low").high, axis.extended("high").low) == (axis.high, axis.low)


def test_an_axis_does_not_grow_onto_an_end_that_is_itself_illegal():
    axis = Axis("share", 0.1, 0.9, "linear", Range(0.0, 1.0, open_low=True, open_high=True))
    assert axis.extended("low") == axis.extended("high") == axis


def test_an_extension_by_name_leaves_other_axes_and_other_spaces_alone():
    found = spaces(map(find, ["sgd", "adam"]), ["lr", "eps"])
    wider = {key: each.extended("low", "eps") for key, each in found.items()}
    assert wider["sgd"] == found["sgd"]
    assert wider["adam"].axes[0] == found["adam"].axes[0]
    assert wider["adam"].axes[1].low == 1e-11


def test_extending_all_rules_keeps_their_widths_equal():
    wider = [each.extended("high", "lr") for each in spaces(catalogue.values()).values()]
    assert {round(each.axes[0].width, 2) for each in wider} == {DECADES + 1}


def test_an_unknown_side_is_refused():
    with pytest.raises(BadValue, match="'low' or 'high' end, got 'up'"):
        LR.extended("up")


@pytest.mark.parametrize(
    ("unit", "side"), [(0.0, "low"), (0.04, "low"), (0.06, ""), (0.94, ""), (0.96, "high")]
)
def test_the_outermost_twentieth_is_the_edge(unit, side):
    searched = space(find("adam"))
    settings = searched.settings((unit,))
    assert searched.on_edge(settings) == ({"lr": side} if side else {})


@pytest.mark.parametrize(("winner", "side"), [(0.3, "low"), (0.5, ""), (0.6, "high")])
def test_the_outermost_of_the_values_tried_is_an_edge_as_well(winner, side):
    searched = space(find("adam"))
    tried = [searched.settings((unit,)) for unit in (0.6, 0.3, 0.5)]
    found = searched.on_edge(searched.settings((winner,)), tried)
    assert found == ({"lr": side} if side else {})


def test_a_single_trial_is_not_on_an_edge_of_what_was_tried():
    settings = space(find("adam")).settings((0.5,))
    assert space(find("adam")).on_edge(settings, [settings]) == {}


def test_edges_are_named_per_hyperparameter():
    searched = space(find("adam"), ["beta1", "eps"])
    assert searched.on_edge(searched.settings((0.0, 0.5, 1.0))) == {"lr": "low", "eps": "high"}


def test_a_space_prints_its_axes_with_their_widths():
    assert str(space(find("adamw"), ["beta1", "weight_decay"])) == (
        "adamw: lr 0.0001 to 0.1 (log, 3 decades); "
        "beta1 0.5 to 0.999 (log of 1 - beta1, 2.7 decades); "
        "weight_decay 1e-05 to 1 (log, 5 decades)"
    )
    assert str(MIXING) == "mixing -1 to 3 (linear)"


def test_a_name_that_no_rule_has_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match=r"'epz'. Did you mean 'eps'\?"):
        spaces(map(find, ["sgd", "adam"]), ["lr", "epz"])


def test_a_hyperparameter_without_a_range_is_refused_with_the_fix():
    with pytest.raises(BadValue, match=r"momentum names no range in which dampening.*Annotated"):
        space(find("momentum"), ["dampening"])


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        (Annotated[float, Range(search=(0.0, 1.0))], "around 0 to 1"),
        (Annotated[float, Range(search=(1.0, 0.1))], "around 1 to 0.1"),
    ],
)
def test_an_lr_that_has_no_logarithm_is_refused(lr, message):
    with pytest.raises(BadValue, match=message):
        space(_rule("Odd", lr))


def test_a_rule_without_an_lr_has_no_space():
    with pytest.raises(BadValue, match="no hyperparameter lr"):
        space(rule("Fixed")(lambda g: g))


@pytest.mark.parametrize("ends", [(0.0, 1.0, "log"), (0.5, 1.0, "log1m"), (2.0, 1.0, "linear")])
def test_an_axis_that_cannot_be_walked_is_refused(ends):
    with pytest.raises(BadValue, match="cannot be searched from"):
        Axis("x", *ends)


def test_every_range_named_in_the_catalogue_can_be_searched():
    ranged = [name for name in ALL if all(
        each.hyperparameters[name].search for each in catalogue.values()
        if name in each.hyperparameters
    )]  # fmt: skip
    found = spaces(catalogue.values(), ranged)
    assert {"lr", "eps", "weight_decay", "beta1"} <= set(ranged)
    assert {name for each in found.values() for name in each.names} == set(ranged)
