"""The doctor's page: findings first with their numbers, then the pictures they were read from."""

import csv
import io
import json
import math
import re
from dataclasses import replace

import pytest

from examined import DIAGNOSIS, EVIDENCE, ILL, WELL
from thalweg.doctor import Evidence
from thalweg.doctor.evidence import Curvature, LossSlice, ParameterProbe, Step
from thalweg.report import page
from thalweg.report.doctor.figures import FIGURES
from thalweg.report.doctor.page import READINGS
from watched import train


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return page(ILL, tmp_path_factory.mktemp("page") / "doctor.html").read_text("utf-8")


def drawn(name, evidence=EVIDENCE):
    """Return a figure."""
    figure = FIGURES[name](evidence)
    assert figure is not None
    return figure


def body(html):
    """Return what a reader sees, without the scripts."""
    return html[html.index("<main>") : html.index("</main>")]


def test_findings_come_before_the_pictures_worst_first(html):
    seen = body(html)
    found = re.findall(r"</span> (GD\d+)", seen)
    assert found == ["GD203", "GD301", "GD303", "GD501"]
    assert seen.rindex("GD501") < seen.index('class="plot"')


def test_a_finding_has_its_change_numbers_confidence_and_reference(html):
    seen = body(html)
    assert "<code>lr=0.05 → 0.012</code>" in seen
    assert "0.024 to 0.025" in seen
    assert "Confidence 90%. Cohen et al. 2021" in seen
    assert "It follows from GD301." in seen
    assert 'Seen in: <a href="#losses">' in seen
    assert "Why this is bad" in seen


def test_every_place_of_findings_that_are_alike_has_its_numbers(html):
    rows = re.findall(r'<tr><td class="left">(.*?)</tr>', body(html))
    cells = [[each for each in re.split("<[^>]*>", row) if each] for row in rows]
    assert ["&lt;first&gt;", "0.001", "a [bold] &lt;change&gt;"] in cells
    assert ["second", "0.002", "another &lt;change&gt;"] in cells


def test_names_are_text_and_not_elements(html):
    assert "<first>" not in html.replace("\\u003c", "")
    assert "a [bold] &lt;change&gt;" in html


def test_all_pictures_have_a_place(html):
    places = re.findall(r'class="plot" id="([^"]+)"', html)
    assert places == list(FIGURES) == list(READINGS)


def test_numbers_at_the_end_gaps_costs_protocol_and_versions_are_told(html):
    seen = body(html)
    assert "<b>largest stable learning rate</b> 0.024 to 0.025" in seen
    assert "<b>noise scale</b> 300 (100–∞)" in seen
    assert "<li>the gradient: no time was left</li>" in seen
    assert "<li>failed probe noise: it broke</li>" in seen
    assert "1.50 s at its end" in seen
    assert "learning rate 0.5, batches of 32, at most 3 epochs, seed 4" in seen
    assert "Net has 48 parameters; SGD updated them 100 times." in seen
    assert re.search(r"thalweg \S+, torch \S+, numpy \S+, python 3", seen)


def test_a_healthy_page_says_so_without_code_or_error(tmp_path):
    seen = body(page(WELL, tmp_path / "well.html").read_text("utf-8"))
    assert "<h1>healthy: nothing wrong was found after 100 updates.</h1>" in seen
    assert not re.search(r"GD\d", seen)
    assert "error" not in seen.lower()


def test_a_watch_and_a_diagnosis_alone_have_pages_too(tmp_path):
    watched = page(train(steps=5), tmp_path / "watch.html").read_text("utf-8")
    assert 'id="losses"' in watched
    assert "Sequential, examined" in watched
    alone = page(DIAGNOSIS, tmp_path / "alone.html").read_text("utf-8")
    assert "GD203" in body(alone)
    assert 'class="plot"' not in alone


def test_data_hold_every_finding(tmp_path):
    data = json.loads(page(ILL, tmp_path / "found.json").read_text("utf-8"))
    assert data["subject"] == "sgd on points"
    assert [each["code"] for each in data["findings"]][:2] == ["GD203", "GD301"]
    lines = list(csv.DictReader(io.StringIO(page(ILL, tmp_path / "a.csv").read_text("utf-8"))))
    assert len(lines) == len(DIAGNOSIS.findings)
    assert lines[0]["change"] == "lr=0.05 → 0.012"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_left_out_where_nothing_was_seen(name):
    assert FIGURES[name](EVIDENCE)
    assert FIGURES[name](Evidence()) is None


@pytest.mark.parametrize("name", ["gradients", "updates", "activity"])
def test_numbers_by_depth_are_drawn_early_in_between_and_late(name):
    names = [each["name"] for each in drawn(name)["data"]]
    assert names == ["update 1", "update 50", "update 100"]


def test_gradients_that_are_not_finite_are_not_drawn():
    nothing = ParameterProbe(gradient=math.nan, finite=False)
    broken = replace(EVIDENCE.probes[0], parameters={"<first>.weight": nothing})
    assert FIGURES["gradients"](replace(EVIDENCE, probes=[broken])) is None
    mixed = drawn(
        "gradients", replace(EVIDENCE, probes=[EVIDENCE.probes[0], replace(broken, step=9)])
    )
    assert [each["y"] for each in mixed["data"]] == [[0.001, 1.0], [None, None]]


def test_every_layer_has_its_histogram_early_and_late_under_its_name():
    figure = drawn("histograms")
    names = [(each["y"], each["text"]) for each in figure["layout"]["annotations"]]
    assert [text for _, text in sorted(names, reverse=True)] == [
        "&lt;first&gt; (Linear)", "relu (ReLU)", "[last] (Linear)",
    ]  # fmt: skip
    assert [each["name"] for each in figure["data"]] == ["update 1"] * 3 + ["update 100"] * 3
    relu = figure["data"][1]
    assert max(relu["y"]) - min(relu["y"]) < 0.8
    assert (min(relu["x"]), max(relu["x"])) == (0.0, 1.0)


def test_the_ends_of_the_stable_interval_stand_beside_the_learning_rate():
    named = {each["name"]: each["y"] for each in drawn("rates")["data"]}
    assert named["stable below"] == [0.024, 0.024]
    assert named["unstable above"] == [0.025, 0.025]
    assert named["learning rate"][-1] == 0.05
    boundless = replace(EVIDENCE, curvature=Curvature(9, 1.0, 0.0, 0.0, (0.0, math.inf)))
    assert [each["name"] for each in drawn("rates", boundless)["data"]] == ["learning rate"]


def test_a_loss_that_explodes_does_not_flatten_the_rest():
    values = [1.0] * 95 + [1e20, math.inf, math.nan, 1e30, 1e25]
    steps = [Step(k, each, (0.1,)) for k, each in enumerate(values, 1)]
    figure = drawn("losses", Evidence(steps=steps))
    assert figure["layout"]["yaxis"]["range"][1] < 200
    assert None in figure["data"][0]["y"]


def test_a_long_curve_keeps_its_spikes():
    steps = [Step(k, 50.0 if k == 3333 else 1.0, (0.1,)) for k in range(1, 10_001)]
    curve = drawn("losses", Evidence(steps=steps))["data"][0]
    assert len(curve["y"]) <= 600
    assert curve["x"][curve["y"].index(50.0)] == 3333


def test_a_slice_has_a_curve_for_each_direction_that_was_cut_and_gaps_where_it_overflows(html):
    assert "At 1 each filter has moved by its own length" in body(html)
    random, downhill = drawn("slice")["data"]
    assert (random["name"], random["x"], random["y"]) == (
        "random direction", [-1.0, 0.0, 1.0], [0.9, 0.3, None],
    )  # fmt: skip
    assert (downhill["name"], downhill["y"]) == ("down the gradient", [2.0, 0.3, 0.2])
    alone = replace(EVIDENCE, loss_slice=LossSlice(9, [-1.0, 0.0, 1.0], [1.0, 1.0, 1.0]))
    assert [each["name"] for each in drawn("slice", alone)["data"]] == ["random direction"]
    nothing = LossSlice(9, [0.0], [math.nan])
    assert FIGURES["slice"](replace(EVIDENCE, loss_slice=nothing)) is None
