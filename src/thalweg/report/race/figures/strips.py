"""Every seed a dot, a strip for each rule: the final values, and the times to the target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from thalweg.racing import Result, Row
from thalweg.racing.protocol import of
from thalweg.racing.result import FINAL
from thalweg.racing.statistics import Estimate, median
from thalweg.report import numerals
from thalweg.report.figure import Figure, fitted
from thalweg.report.race import words
from thalweg.report.race.figures.looks import Look, far, looks

ROOM = 0.14
"""The part of the axis that is put beside it for what lies beyond its end."""

SPREAD = 0.5
"""The part of a strip's height over which its dots are spread, each seed at its own height."""


def finals(result: Result) -> Figure | None:
    """Draw the metric after the last epoch; None where every run diverged.

    The view is fitted to the rules that are not far behind. What lies beyond it is a triangle
    beside its end, and what diverged a cross.
    """
    header = result.header
    near = [value for row in result.board if not far(row, result) for value in row.losses]
    axis = fitted([value for value in near if math.isfinite(value)])
    beyond = "▸ off the scale  ✕ diverged"
    strip = Strip(lambda row: row.losses, words.metric(header), beyond, words.writer(header))
    return _strips(result, strip, axis) if axis else None


def times(result: Result) -> Figure | None:
    """Draw the updates to the target; None where there is none, or nobody reached it."""
    known = [value for row in result.board for value in row.times if math.isfinite(value)]
    strip = Strip(lambda row: row.times, "updates", "never reached", numerals.significant)
    return _strips(result, strip, {"range": [0, 1.03 * max(known)]}) if known else None


class Strip(NamedTuple):
    """What is shown of each rule, on which axis, what lies beyond its end, how a value is told."""

    values: Callable[[Row], Sequence[float]]
    title: str
    beyond: str
    write: Callable[[float], str]


def _strips(result: Result, strip: Strip, axis: Figure) -> Figure:
    ends = _ends(axis)
    off = any(value > ends.last for row in result.board for value in strip.values(row))
    look = looks(result)
    dots = [
        _dots(row, place, strip, (result, look[row.rule], ends))
        for place, row in enumerate(result.board)
    ]
    layout = strip_layout([row.name for row in result.board])
    layout["xaxis"] = {"title": {"text": strip.title}} | (_with_room(axis, ends) if off else axis)
    return {
        "data": [*dots, _medians(result, strip, ends)],
        "layout": layout | (_edge_line(ends.last, strip.beyond) if off else {}),
    }


class Ends(NamedTuple):
    """The last value on the axis, and the place beside it for what lies beyond."""

    last: float
    beyond: float

    def place(self, value: float) -> float:
        """Return where a value is drawn."""
        return value if value <= self.last else self.beyond


def _ends(axis: Figure) -> Ends:
    low, high = axis["range"]
    places = high, high + ROOM * (high - low) / 2
    return Ends(*(10.0**at for at in places)) if axis.get("type") == "log" else Ends(*places)


def _with_room(axis: Figure, ends: Ends) -> Figure:
    """Return the axis with room at its right end, in which it has no ticks."""
    low, high = axis["range"]
    view = {"range": [low, high + ROOM * (high - low)]}
    if axis.get("type") != "log":
        ticks = [at for at in _round_numbers(low, high) if at <= ends.last]
        return axis | view | {"tickmode": "array", "tickvals": ticks}
    kept = [
        (at, text)
        for at, text in zip(axis["tickvals"], axis["ticktext"], strict=True)
        if at <= ends.last
    ]
    return (
        axis | view | {"tickvals": [at for at, _ in kept], "ticktext": [text for _, text in kept]}
    )


def _round_numbers(low: float, high: float) -> list[float]:
    """Return between four and ten round numbers, evenly spaced."""
    scale = 10.0 ** math.floor(math.log10(high - low))
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2) if (high - low) / (step * scale) <= 10)
    first = math.ceil(low / (step * scale))
    count = math.floor(high / (step * scale)) - first + 1
    return [float(f"{(first + k) * step * scale:.12g}") for k in range(count)]


def _dots(row: Row, place: int, strip: Strip, drawn: tuple[Result, Look, Ends]) -> Figure:
    result, look, ends = drawn
    found = strip.values(row)
    seeds = [run.task.seed for run in of(result.runs, row.rule, FINAL)]
    told = [strip.write(value) for value in found]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": row.name,
        "x": list(map(ends.place, found)),
        "y": [place + height for height in _heights(len(found))],
        "marker": {
            "color": look.colour,
            "opacity": 0.75,
            "size": 7,
            "symbol": [_symbol(value, ends) for value in found],
        },
        "text": [
            f"<b>{row.name}</b>, seed {seed}<br>{text}"
            for seed, text in zip(seeds, told, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _symbol(value: float, ends: Ends) -> str:
    if math.isinf(value):
        return "x"
    return "circle" if value <= ends.last else "triangle-right"


def _heights(count: int) -> list[float]:
    return [SPREAD * ((k + 0.5) / count - 0.5) for k in range(count)]


def _medians(result: Result, strip: Strip, ends: Ends) -> Figure:
    """Return the medians of all rules with their intervals, as far as these are in the view."""
    found = [median(strip.values(row)) for row in result.board]
    shown = [Estimate(*map(ends.place, each)) for each in found]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "median",
        "x": [each.value for each in shown],
        "y": list(range(len(shown))),
        "marker": {"symbol": "line-ns", "size": 18, "line": {"width": 3, "color": "var(--ink)"}},
        "error_x": _interval(shown),
        "text": [
            f"<b>{row.name}</b><br>median {numerals.estimate(each, strip.write)}"
            for row, each in zip(result.board, found, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _interval(shown: Sequence[Estimate]) -> Figure:
    return {
        "type": "data",
        "symmetric": False,
        "array": [each.high - each.value for each in shown],
        "arrayminus": [each.value - each.low for each in shown],
        "color": "var(--ink)",
        "thickness": 1.5,
        "width": 0,
    }


def strip_layout(names: Sequence[str]) -> Figure:
    """Return the layout of a figure with a strip for each name, the first at the top."""
    count = len(names)
    return {
        "showlegend": False,
        "height": 100 + 26 * count,
        "margin": {"l": 60, "r": 16, "t": 28, "b": 50},
        "yaxis": {
            "tickvals": list(range(count)),
            "ticktext": list(names),
            "range": [count - 0.5, -0.5],
            "showgrid": False,
        },
    }


def _edge_line(edge: float, text: str) -> Figure:
    line = {"color": "var(--rim)", "width": 1, "dash": "dot"}
    ends = {"yref": "paper", "x0": edge, "x1": edge, "y0": 0, "y1": 1}
    label = {"text": text, "textposition": "end", "textangle": 0, "xanchor": "right"}
    return {"shapes": [{"type": "line", "layer": "below", "line": line, "label": label} | ends]}
