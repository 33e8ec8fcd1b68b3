"""The pictures of a race, as figures in the plain form that plotly.js draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thalweg.report import numerals
from thalweg.report.figure import COLOURS, Figure, log_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.racing import Header, Result, Row, Run

_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "diamond", "square")


def style(rule: str, header: Header) -> dict[str, str]:
    """Return the colour, dash and marker of a rule, the same in every picture of a race."""
    turn, place = divmod(header.rules.index(rule), len(COLOURS))
    turn %= len(_DASHES)
    return {"color": COLOURS[place], "dash": _DASHES[turn], "symbol": _SYMBOLS[turn]}


def curves(result: Result) -> Figure:
    """Draw validation loss against epoch for each rule's best run, unless it diverged.

    The view is fitted to the rules that end within a decade of the best; an arrow marks the names
    of the others, which end above it.
    """
    rows = [row for row in result.board if not row.best.failed]
    limit = 10 * min((row.best.loss for row in rows), default=1.0)
    near = [row for row in rows if row.best.loss <= limit]
    values = [point.validation_loss for row in near for point in row.best.curve]
    traces = [_curve(row, result.header) | _named(row, limit) for row in rows]
    x = {"title": {"text": "epoch"}, "tick0": 0, "dtick": -(-result.header.epochs // 10)}
    return {"data": traces, "layout": _layout(x, _view(values))}


def _named(row: Row, limit: float) -> Figure:
    return {"name": row.rule if row.best.loss <= limit else f"{row.rule} ↑"}


def _curve(row: Row, header: Header) -> Figure:
    label = f"<b>{row.rule}</b>, lr {numerals.rate(row.best.lr)}"
    points = row.best.curve
    return _trace(row.rule, header) | {
        "mode": "lines" if len(points) > 1 else "markers",
        "x": [point.number for point in points],
        "y": [point.validation_loss for point in points],
        "customdata": [point.validation_accuracy for point in points],
        "hovertemplate": f"{label}<br>epoch %{{x}}: loss %{{y:.4f}}, "
        "accuracy %{customdata:.1%}<extra></extra>",
    }


def sensitivity(result: Result) -> Figure:
    """Draw final validation loss against learning rate, every run a marker.

    Runs that diverged, or ended two decades above the best, are crosses on a line at the top.
    """
    ceiling = _ceiling(result)
    traces = [_response(row, result, ceiling) for row in result.board]
    ticks = log_ticks([run.lr for run in result.runs], (1,))
    x = {"title": {"text": "learning rate"}, "type": "log"} | ticks
    shown = any(run.loss >= ceiling for run in result.runs)
    y = _view([min(run.loss, ceiling * 1.2) for run in result.runs])
    return {"data": traces, "layout": _layout(x, y) | (_top_line(ceiling) if shown else {})}


def _response(row: Row, result: Result, ceiling: float) -> Figure:
    runs = sorted((run for run in result.runs if run.rule == row.rule), key=lambda run: run.lr)
    symbol = style(row.rule, result.header)["symbol"]
    trace = _trace(row.rule, result.header)
    off = [run.loss >= ceiling for run in runs]
    marker = {"size": 8, "symbol": ["x" if gone else symbol for gone in off]}
    return trace | {
        "mode": "lines+markers",
        "marker": marker | {"color": trace["line"]["color"]},
        "x": [run.lr for run in runs],
        "y": [min(run.loss, ceiling) for run in runs],
        "text": [_told(run) for run in runs],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _told(run: Run) -> str:
    return f"<b>{run.rule}</b>, lr {numerals.rate(run.lr)}<br>final loss {numerals.loss(run.loss)}"


def _ceiling(result: Result) -> float:
    finite = [run.loss for run in result.runs if not run.failed] or [1.0]
    return min(1.3 * max(finite), 100 * min(finite))


def _view(values: Sequence[float]) -> Figure:
    """Return the range and ticks of a logarithmic axis that shows all these values."""
    if not values:
        return {}
    low, high = math.log10(min(values)), math.log10(max(values))
    return {"range": [low - 0.08, high + 0.08]} | log_ticks(values)


def _trace(rule: str, header: Header) -> Figure:
    look = style(rule, header)
    return {
        "type": "scatter",
        "name": rule,
        "line": {"color": look["color"], "dash": look["dash"], "width": 2},
    }


def _layout(x: Figure, y: Figure) -> Figure:
    return {"xaxis": x, "yaxis": {"title": {"text": "validation loss"}, "type": "log"} | y}


def _top_line(ceiling: float) -> Figure:
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": ceiling, "y1": ceiling}
    label = {"text": "× diverged or off the scale", "textposition": "top left"}
    return {"shapes": [line | {"label": label, "line": {"color": "#c9c9c9", "width": 1}}]}
