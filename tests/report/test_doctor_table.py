"""The doctor's findings in a terminal: worst first, each with the plot that shows it."""

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from examined import DIAGNOSIS, EVIDENCE, ILL, WELL
from thalweg.doctor import Evidence, catalogue
from thalweg.doctor.evidence import Step
from thalweg.report import summary
from thalweg.report.bars import logarithmic
from thalweg.report.doctor.depth import spread
from thalweg.report.doctor.showing import PICTURES
from thalweg.report.doctor.small import PLOTS, small
from watched import train


def printed(shown, width=100):
    text = io.StringIO()
    Console(file=text, width=width).print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


@pytest.fixture(scope="module")
def told():
    return printed(summary(ILL))


def part(told, code):
    """Return the lines of a finding: from its title to the next one's."""
    after = told[told.index(f"\n{code} ") + 1 :]
    return after.split("\nGD")[0]


def test_findings_stand_worst_first_with_change_confidence_and_reference(told):
    assert told.startswith("5 findings after 100 updates, worst first.")
    titles = [line for line in told.splitlines() if line.startswith("GD")]
    assert titles == [
        "GD203 error: unstable learning rate",
        "GD301 error: dead ReLU in relu",
        "GD303 warning: vanishing gradients in <first> at update 7",
        "GD501 warning: inputs badly scaled",
    ]
    assert "  Change: lr=0.05 → 0.012\n  Confidence 90%. Cohen et al. 2021\n" in told


def test_findings_that_are_alike_are_told_once(told):
    assert "Likewise in second at update 7 (another <change>)." in part(told, "GD303")
    assert "And to another" not in told


def test_a_finding_of_the_learning_rate_shows_the_loss_and_that_of_validation(told):
    shown = part(told, "GD203")
    assert "training loss" in shown
    assert "validation loss" in shown
    assert any("\u2801" <= letter <= "\u28ff" for letter in shown)


def test_dead_units_are_drawn_by_layer(told):
    assert "relu (ReLU) ██████████████████████████████           75.0%" in part(told, "GD301")


def test_vanishing_gradients_are_drawn_by_depth(told):
    first, last = part(told, "GD303").splitlines()[-2:]
    assert "<first>.weight" in first
    assert "[last].weight" in last
    assert last.count("█") > 5 * first.count("█") > 0


def test_badly_scaled_inputs_are_drawn_largest_first(told):
    assert "feature 1      ████████████████████████████████████████ 520" in part(told, "GD501")


def test_a_spectrum_is_drawn_with_the_stable_interval_and_the_rate_beyond_it():
    shown = printed(small("spectrum", EVIDENCE)).splitlines()
    assert "from -4 to 80" in shown[0]
    assert shown[1][2] == "█"
    assert "0.05, stable ━ up to 0.025" in shown[2]
    stable, _, beyond = shown[3].partition("▒")
    assert set(stable) == {"━"}
    assert "●" in beyond


def test_a_plot_is_drawn_once():
    again = replace(ILL, diagnosis=replace(DIAGNOSIS, findings=[
        DIAGNOSIS.findings[0], replace(DIAGNOSIS.findings[0], severity="warning"),
    ]))  # fmt: skip
    told = printed(summary(again))
    assert told.count("validation loss") == 1
    assert "Drawn above, under GD203." in told


def test_both_costs_and_what_was_not_examined_are_told(told):
    assert "Not examined:\n  the gradient: no time was left\n  failed probe noise: it broke" in told
    assert "0.10 s during the training, 5.0% on top" in told
    assert "1.50 s at its end" in told


def test_a_healthy_run_is_said_to_be_so_with_its_loss_without_code_or_error():
    told = printed(summary(WELL))
    assert told.startswith("healthy: nothing wrong was found after 100 updates.")
    assert "training loss" in told
    assert "Remarks:\n  The batch could be larger. batch 32 → 64" in told
    assert "GD" not in told
    assert "error" not in told.lower()


def test_a_watch_and_a_diagnosis_alone_are_told_as_well():
    assert printed(summary(train(steps=5))).startswith("healthy")
    told = printed(summary(DIAGNOSIS))
    assert "GD203 error" in told
    assert not any("\u2801" <= letter <= "\u28ff" for letter in told)


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("width", [40, 100])
def test_every_plot_fits_and_is_left_out_where_nothing_was_seen(name, width):
    shown = printed(small(name, EVIDENCE), width)
    assert shown
    assert max(map(len, shown.splitlines())) <= width
    assert small(name, Evidence()) is None


def test_losses_that_are_not_finite_are_gaps():
    steps = [Step(k, each, (0.1,)) for k, each in enumerate([2.0, 1.0, math.nan, math.inf], 1)]
    shown = printed(small("losses", Evidence(steps=steps)))
    assert "2 ┤" in shown
    assert small("losses", Evidence(steps=steps[2:])) is None


def test_losses_over_decades_have_logarithmic_heights():
    steps = [Step(k, 10.0**-k, (0.1,)) for k in range(6)]
    shown = printed(small("losses", Evidence(steps=steps)))
    assert "logarithmic" in shown
    assert "0.003162 ┤" in shown


def test_a_wide_net_is_drawn_by_layers_evenly_spread():
    assert spread("abcdefghij", 4) == ["a", "d", "g", "j"]
    assert spread("ab", 4) == ["a", "b"]


def test_bars_are_as_long_as_logarithms():
    none, short, long, endless = logarithmic([0.0, 1.0, 9.0, math.inf])
    assert none == 0.0
    assert short == pytest.approx(math.log(3) / math.log(27))
    assert (long, endless) == (pytest.approx(1.0), 1.0)


def test_every_check_says_which_pictures_show_it():
    assert set(catalogue()) <= set(PICTURES)
