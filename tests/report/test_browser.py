"""Pages in a real browser: they draw, answer the mouse, follow the colour scheme, fit a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from examined import ILL
from races import raced
from teamed import TEAMS
from thalweg.racing import Contest
from thalweg.report import page, plot
from thalweg.report.doctor.figures import FIGURES
from thalweg.rules import catalogue
from thalweg.schedules import cosine, linear

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: .[test]")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs apt-get install chromium")

QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
DESKTOP = {"viewport": {"width": 1200, "height": 900}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 375, "height": 740}, "is_mobile": True, "has_touch": True}
KEY = 35
"""Pixels of the line or box before a name in a legend."""

PICTURES = ["curves", "finals", "sensitivity", "times", "budget", "near"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of this module, with a profile that is empty and thrown away."""
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = raced("sgd", "momentum", "adam", failing=[("adam", 3), ("sgd", 0)], target=0.13)
    return page(found, tmp_path_factory.mktemp("small") / "race.html")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = raced(*catalogue, trials=6, target=0.2, epochs=20, worse={"rprop": 90.0})
    return page(found, tmp_path_factory.mktemp("large") / "race.html")


class Tabs:
    """The tabs of a browser, one for each file and way to look at it, and what they did."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.known: dict[str, Page] = {}
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def __call__(self, path: Path, **options: Any) -> Page:
        """Return the tab, opened if it is not yet; every test leaves it as it was."""
        key = f"{path} {options}"
        if key not in self.known:
            self.known[key] = self._open(path, {**DESKTOP, **options})
        return self.known[key]

    def _open(self, path: Path, options: dict[str, Any]) -> Page:
        tab = self.browser.new_context(**options).new_page()
        tab.on("console", lambda told: self.complaints.append(f"{told.type}: {told.text}"))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("request", lambda request: self.requests.append(request.url))
        tab.goto(path.as_uri())
        return tab


@pytest.fixture(scope="module")
def opened(browser: Browser) -> Tabs:
    return Tabs(browser)


def point(tab: Page, name: str, trace: int, number: int) -> tuple[float, float]:
    """Return where on the screen a point of a trace lies, with its figure brought into view."""
    tab.locator(f"#{name}").scroll_into_view_if_needed()
    found = tab.evaluate(
        """([name, trace, number]) => {
          const plot = document.getElementById(name), {x, y} = plot.data[trace];
          const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
          return [box.left + xaxis._offset + xaxis.d2p(x[number]),
                  box.top + yaxis._offset + yaxis.d2p(y[number])];
        }""",
        [name, trace, number],
    )
    return found[0], found[1]


def seen(tab: Page, name: str) -> list[Any]:
    """Return of every trace of a figure whether it is shown."""
    found: list[Any] = tab.evaluate(
        "name => document.getElementById(name)._fullData.map(trace => trace.visible)", name
    )
    return found


def colours(tab: Page) -> tuple[str, str, str]:
    """Return the colours of the page, of the text in a figure, and of its first trace."""
    found = tab.evaluate(
        """() => {
          const plot = document.getElementById("curves");
          return [getComputedStyle(document.body).backgroundColor, plot._fullLayout.font.color,
                  plot._fullData[0].line.color];
        }"""
    )
    return found[0], found[1], found[2]


def lightness(colour: str) -> float:
    """Return how light ``rgb(…)`` or ``#rrggbb`` is, from 0 to 255."""
    if colour.startswith("#"):
        return sum(bytes.fromhex(colour[1:])) / 3
    return sum(map(int, colour[4:-1].split(","))) / 3


def test_all_pictures_are_drawn(opened: Tabs, small: Path) -> None:
    tab = opened(small)
    drawn = tab.eval_on_selector_all(".plot", "all => all.map(plot => plot.id)")
    assert sorted(drawn) == sorted(PICTURES)
    for name in PICTURES:
        assert tab.locator(f"#{name} .main-svg").count() > 0
    assert tab.locator("#curves .scatterlayer .trace").count() == 6
    assert tab.locator("#finals .scatterlayer .trace .point").count() == 3 * 6 + 3
    assert tab.locator("#near .barlayer .point").count() == 3


def test_hovering_over_a_point_shows_its_values(opened: Tabs, small: Path) -> None:
    tab = opened(small)
    tab.mouse.move(*point(tab, "curves", 1, 2))
    label = tab.locator("#curves .hoverlayer .hovertext")
    label.wait_for()
    value = tab.evaluate("document.getElementById('curves').data[1].y[2]")
    assert "SGD" in (label.text_content() or "")
    assert f"epoch 3: median {value:.4g}" in (label.text_content() or "")


def test_hovering_over_a_failure_says_so(opened: Tabs, small: Path) -> None:
    tab = opened(small)
    tab.mouse.move(*point(tab, "sensitivity", 0, 1))
    label = tab.locator("#sensitivity .hoverlayer .hovertext")
    label.wait_for()
    assert "diverged" in (label.text_content() or "")


def test_a_click_in_the_legend_hides_a_rule_with_its_seeds(opened: Tabs, small: Path) -> None:
    tab = opened(small)
    assert seen(tab, "curves") == [True] * 6
    first = tab.locator("#curves .legendtoggle").first
    first.click()
    tab.wait_for_function("document.getElementById('curves')._fullData[0].visible !== true")
    assert seen(tab, "curves") == ["legendonly"] * 2 + [True] * 4
    assert tab.locator("#curves .scatterlayer .trace").count() == 4
    first.click()
    tab.wait_for_function("document.getElementById('curves')._fullData[0].visible === true")
    assert seen(tab, "curves") == [True] * 6


def test_a_click_in_the_legend_shows_a_rule_that_was_behind(opened: Tabs, large: Path) -> None:
    tab = opened(large)
    assert seen(tab, "budget").count(True) == 8
    tab.locator("#budget .legendtoggle").last.click()
    tab.wait_for_function("document.getElementById('budget')._fullData.at(-1).visible === true")
    assert seen(tab, "budget").count(True) == 9


def test_a_dark_scheme_darkens_the_page_and_lightens_the_text(opened: Tabs, small: Path) -> None:
    light, dark = (colours(opened(small, color_scheme=scheme)) for scheme in ("light", "dark"))
    assert lightness(light[0]) > 200 > 60 > lightness(dark[0])
    assert lightness(light[1]) < 60 < 200 < lightness(dark[1])
    assert light[2] != dark[2]


def test_a_change_of_the_scheme_is_followed_and_what_was_hidden_stays_so(
    opened: Tabs, small: Path
) -> None:
    tab = opened(small, color_scheme="dark")
    dark, first = colours(tab), tab.locator("#curves .legendtoggle").first
    first.click()
    tab.wait_for_function("document.getElementById('curves')._fullData[0].visible !== true")
    tab.emulate_media(color_scheme="light")
    changed = "before => document.getElementById('curves')._fullLayout.font.color !== before"
    tab.wait_for_function(changed, arg=dark[1])
    assert lightness(colours(tab)[0]) > 200
    assert seen(tab, "curves") == ["legendonly"] * 2 + [True] * 4
    tab.emulate_media(color_scheme="dark")
    first.click()
    tab.wait_for_function("document.getElementById('curves')._fullData[0].visible === true")
    assert colours(tab) == dark


def test_a_phone_scrolls_in_one_direction_only(opened: Tabs, large: Path) -> None:
    tab = opened(large, **PHONE)
    wide = tab.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide == [375, 375]
    board = tab.locator(".wide").first
    assert board.evaluate("box => box.scrollWidth > box.clientWidth && box.clientWidth < 375")
    tab.locator("summary").click()
    assert tab.evaluate("document.documentElement.scrollWidth") == 375


def test_on_a_phone_the_legend_stands_below_the_picture_and_is_whole(
    opened: Tabs, large: Path
) -> None:
    tab = opened(large, **PHONE)
    for name in ("curves", "sensitivity", "budget"):
        plot, legend, title = (
            tab.locator(f"#{name}{part}").bounding_box()
            for part in ("", " .legend .bg", " .xtitle")
        )
        assert plot
        assert legend
        assert title
        assert legend["y"] >= title["y"] + title["height"]
        assert legend["y"] + legend["height"] <= plot["y"] + plot["height"]
        names = tab.locator(f"#{name} .legendtext").all()
        boxes = [each.bounding_box() for each in names]
        assert len(boxes) == len(catalogue)
        for box in boxes:
            assert box
            assert box["y"] + box["height"] <= plot["y"] + plot["height"]
            assert box["x"] + box["width"] <= plot["x"] + plot["width"]


def test_beside_many_rules_every_name_has_room(opened: Tabs, large: Path) -> None:
    tab = opened(large)
    plot = tab.locator("#curves").bounding_box()
    last = tab.locator("#curves .legendtext").last.bounding_box()
    assert plot
    assert last
    assert last["y"] + last["height"] <= plot["y"] + plot["height"]


def test_turning_a_phone_moves_the_legend(opened: Tabs, small: Path) -> None:
    tab = opened(small, viewport={"width": 375, "height": 740})
    below = tab.evaluate("document.getElementById('curves')._fullLayout.legend.orientation")
    assert below == "h"
    tab.set_viewport_size({"width": 900, "height": 400})
    tab.wait_for_function(
        "document.getElementById('curves')._fullLayout.legend.orientation === 'v'"
    )


@pytest.mark.parametrize(("format_", "begin"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_a_figure_can_be_saved(
    format_: str, begin: bytes, opened: Tabs, small: Path, tmp_path: Path
) -> None:
    tab = opened(small)
    with tab.expect_download() as started:
        tab.locator("#curves + .save button", has_text=format_.upper()).click()
    saved = tmp_path / started.value.suggested_filename
    started.value.save_as(saved)
    assert saved.name == f"curves.{format_}"
    assert saved.read_bytes().startswith(begin)
    if format_ == "svg":
        assert "Momentum" in saved.read_text(encoding="utf-8")


def test_schedules_are_drawn_on_a_page_of_the_same_kind(opened: Tabs, tmp_path: Path) -> None:
    made = {"cosine": cosine(0.3, steps=100), "line": linear(1, 0, steps=50)}
    tab = opened(plot(made, tmp_path / "schedules.html"), color_scheme="dark", **PHONE)
    assert tab.locator("#plot .scatterlayer .trace").count() == 2
    assert tab.evaluate("document.documentElement.scrollWidth") == 375


def test_a_contest_draws_its_profiles_and_the_curves_of_every_race(
    opened: Tabs, tmp_path: Path
) -> None:
    rules, names = ("sgd", "momentum", "adam"), ("first", "second")
    races = [raced(*rules, target=0.3, seeds=3, header={"problem": name}) for name in names]
    tab = opened(page(Contest(tuple(races)), tmp_path / "contest.html"))
    drawn = {
        name: tab.locator(f"#{name} .scatterlayer .trace").count()
        for name in ("profiles", "curves-1", "curves-2")
    }
    assert drawn == {"profiles": 3, "curves-1": 6, "curves-2": 6}
    assert opened.complaints == []


@pytest.fixture(scope="module")
def ill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(ILL, tmp_path_factory.mktemp("ill") / "doctor.html")


def test_the_doctor_draws_every_picture_and_leads_from_a_finding_to_it(
    opened: Tabs, ill: Path
) -> None:
    tab = opened(ill)
    for name in FIGURES:
        assert tab.locator(f"#{name} .scatterlayer .trace").count() > 0
    tab.locator('.finding a[href="#spectrum"]').first.click()
    tab.wait_for_function("document.getElementById('spectrum').getBoundingClientRect().top < 900")
    why = tab.locator(".finding details").first
    why.locator("summary").click()
    assert why.locator("p").first.is_visible()
    assert opened.complaints == []


def test_the_doctor_fits_a_phone_and_is_dark_where_the_scheme_is(opened: Tabs, ill: Path) -> None:
    tab = opened(ill, color_scheme="dark", **PHONE)
    assert tab.evaluate("document.documentElement.scrollWidth") == 375
    change = tab.locator(".change").first
    shades = change.evaluate(
        "box => [getComputedStyle(box).backgroundColor, getComputedStyle(box).color]"
    )
    assert lightness(shades[0]) < 80 < 180 < lightness(shades[1])
    for title in tab.locator(".plot .xtitle, .plot .legendtext").all():
        box = title.bounding_box()
        assert box
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 375


@pytest.fixture(scope="module")
def teams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(TEAMS, tmp_path_factory.mktemp("teams") / "teams.html")


def test_the_curves_of_every_number_of_workers_are_drawn(opened: Tabs, teams: Path) -> None:
    tab = opened(teams)
    drawn = {
        name: tab.locator(f"#{name} .scatterlayer .trace").count()
        for name in ("time", "examples", "speed")
    }
    assert drawn == {"time": 6, "examples": 6, "speed": 3}
    assert tab.locator("#staleness .barlayer .point").count() > 3
    tab.mouse.move(*point(tab, "time", 3, 1))
    label = tab.locator("#time .hoverlayer .hovertext")
    label.wait_for()
    assert "validation, 11: 0.7000" in (label.text_content() or "")
    assert opened.complaints == []


def test_the_page_of_workers_fits_a_dark_phone(opened: Tabs, teams: Path) -> None:
    tab = opened(teams, color_scheme="dark", **PHONE)
    assert tab.evaluate("document.documentElement.scrollWidth") == 375
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert lightness(ground) < 60
    names = [each.bounding_box() for each in tab.locator(".plot .legendtext").all()]
    assert len(names) == 3 + 3 + 3 + 3
    for left, right in pairwise(box for box in names if box):
        apart = right["x"] - left["x"] - left["width"]
        assert right["y"] > left["y"] or apart >= KEY


def test_no_page_complains_or_asks_for_more_than_itself(opened: Tabs, small: Path) -> None:
    tab = opened(small)
    tab.locator("#near").scroll_into_view_if_needed()
    pages = [tab.url.partition("#")[0] for tab in opened.known.values()]
    asked = [url for url in opened.requests if not url.startswith(("blob:", "data:"))]
    assert opened.complaints == []
    assert asked == pages
