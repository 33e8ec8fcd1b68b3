"""A kind's formula is printed from its text, with its settings as symbols."""

import inspect
import re
from typing import Any

import pytest

from thalweg.algebra import evaluate, symbol
from thalweg.algebra.letters import letter
from thalweg.errors import TracedBranch
from thalweg.schedules import catalogue, constant, cosine, schedule, vaswani

TEXTS = {
    "constant": "constant(k) = value",
    "step_decay": "step_decay(k) = value * factor ** floor(k / every)",
    "piecewise": "piecewise(k) = where(k < at_0, values_0, where(k < at_1, values_1, values_2))",
    "vaswani": "t = k + 1\nvaswani(k) = d_model ** -0.5 * minimum(t ** -0.5, t * warmup ** -1.5)",
    "cosine": "cosine(k) = floor + 0.5 * (value - floor) * "
    "(1 + cos(pi * (k / maximum(steps - 1, 1))))",
    "snapshot_cosine": "length = -floor(-steps / cycles)\n"
    "snapshot_cosine(k) = 0.5 * value * (cos(pi * (k % length / length)) + 1)",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_formula_reads_as_its_author_wrote_it(name: str) -> None:
    assert catalogue[name].text == TEXTS[name]


@pytest.mark.parametrize("name", catalogue)
def test_every_setting_stands_in_the_formula(name: str) -> None:
    kind = catalogue[name]
    for setting, value in kind.example.items():
        symbol = f"{setting}_0" if isinstance(value, list) else setting
        assert re.search(rf"\b{symbol}\b", kind.text), symbol
        assert letter(symbol) in kind.latex
    assert len(kind.text.splitlines()) == len(kind.latex.splitlines()) - 2


@pytest.mark.parametrize("name", catalogue)
def test_the_formula_has_the_values_of_the_schedule(name: str) -> None:
    kind = catalogue[name]
    made = kind(**kind.example)
    row: dict[Any, Any] = {}
    defaults = inspect.signature(kind.compute).parameters
    for setting in list(defaults)[1:]:
        value = kind.example.get(setting, defaults[setting].default)
        places = value if isinstance(value, list) else [value]
        names = [f"{setting}_{i}" for i in range(len(places))] if places is value else [setting]
        row |= {
            symbol("hyper", each): float(number) for each, number in zip(names, places, strict=True)
        }
    for k in (0, 1, 99, 100, 500, 999):
        (found,) = evaluate(kind.traced.outputs, [{**row, symbol("clock", "k"): float(k)}])
        assert found[0] == pytest.approx(made(k), rel=1e-14), k


def test_a_formula_as_latex() -> None:
    assert vaswani.latex == "\n".join(
        [
            r"\begin{aligned}",
            r"t &= k + 1 \\",
            r"\mathrm{vaswani}\left(k\right) &= d_{\mathrm{model}}^{-0.5}\,"
            r"\min\left(t^{-0.5}, t\,\mathrm{warmup}^{-1.5}\right)",
            r"\end{aligned}",
        ]
    )


def test_printing_a_schedule_shows_its_numbers() -> None:
    assert repr(constant(3)) == "<schedule 3.0>"
    assert "0.15 * (1.0 + cos(" in repr(cosine(0.3, steps=100))


def test_a_kind_of_ones_own_has_a_formula_and_may_not_branch() -> None:
    @schedule("Nobody 2020")
    def harmonic(k, value, *, shift=1.0):
        """Fall like the terms of the harmonic series."""
        t = k + shift
        return value / t

    assert [harmonic(6)(k) for k in range(3)] == [6, 3, 2]
    assert harmonic.text == "t = k + shift\nharmonic(k) = value / t"

    @schedule()
    def branching(k, value):
        return value if value > 1 else k

    with pytest.raises(TracedBranch, match="where"):
        branching(3)


def test_an_example_is_a_call_that_works() -> None:
    for kind in catalogue.values():
        made = eval(kind.call, dict(catalogue))
        assert made.value is kind(**kind.example).value
