"""The curves of a race: every seed a thin line, and their median a thick one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from thalweg.racing import Result, Row, Run
from thalweg.racing.protocol import of
from thalweg.racing.result import FINAL
from thalweg.racing.result import finite as known
from thalweg.report.figure import Figure, finite, fitted
from thalweg.report.race import words
from thalweg.report.race.figures.looks import Look, looks, trace


def curves(result: Result, ranked: Sequence[str] = ()) -> Figure | None:
    """Draw the metric after each epoch, for each rule's chosen setting; None if all diverged.

    A run that diverged ends where it did, and the median where half of the runs had. The view is
    fitted to the rules that are seen at first. For *ranked* see looks.
    """
    if not any(known(row.losses) for row in result.board):
        return None
    look = looks(result, ranked)
    seen = [row for row in result.board if look[row.rule].seen]
    layout = {
        "xaxis": {"title": {"text": "epoch"}, "dtick": -(-result.header.epochs // 10)},
        "yaxis": {"title": {"text": words.metric(result.header)}} | _view(result, seen),
        "shapes": _target(result),
    }
    drawn = [each for row in result.board for each in _rule(row, result, look[row.rule])]
    return {"data": drawn, "layout": layout}


def _rule(row: Row, result: Result, look: Look) -> Iterator[Figure]:
    runs = of(result.runs, row.rule, FINAL)
    if len(runs) > 1:
        yield _seeds(row, runs, result, look)
    yield _median(row, _medians(runs, result), look)


def _seeds(row: Row, runs: Sequence[Run], result: Result, look: Look) -> Figure:
    """Return one trace for all seeds of a rule, with a gap between two of them."""
    metric = result.header.terms.metric
    points = [
        (place, value, run.task.seed)
        for run in runs
        for place, value in [*enumerate(values(run, metric), 1), (None, math.inf)]
    ]
    x, y, seeds = zip(*points, strict=True)
    return trace(row.name, row.rule, look) | {
        "mode": "lines" if result.header.epochs > 1 else "markers",
        "line": {"color": look.colour, "width": 1},
        "opacity": 0.35,
        "showlegend": False,
        "x": x,
        "y": finite(y),
        "customdata": seeds,
        "hovertemplate": f"<b>{row.name}</b>, seed %{{customdata}}<br>"
        "epoch %{x}: %{y:.4g}<extra></extra>",
    }


def values(run: Run, metric: str) -> list[float]:
    """Return the metric after each epoch of a run, until it diverged."""
    return [epoch.value(metric) for epoch in run.curve]


def _median(row: Row, middle: Sequence[float], look: Look) -> Figure:
    return trace(row.name, row.rule, look) | {
        "mode": "lines" if len(middle) > 1 else "markers",
        "x": list(range(1, len(middle) + 1)),
        "y": finite(middle),
        "hovertemplate": f"<b>{row.name}</b>, {words.setting(row)}<br>"
        "epoch %{x}: median %{y:.4g}<extra></extra>",
    }


def _medians(runs: Sequence[Run], result: Result) -> list[float]:
    found = [values(run, result.header.terms.metric) for run in runs]
    ended = (math.inf,) * result.header.epochs
    padded = [(*each, *ended)[: len(ended)] for each in found]
    return [median(epoch) for epoch in zip(*padded, strict=True)]


def _view(result: Result, rows: Sequence[Row]) -> Figure:
    """Return the axis that shows all medians of these rules, and where each of their runs ends."""
    runs = {row.rule: of(result.runs, row.rule, FINAL) for row in rows}
    middle = [value for each in runs.values() for value in _medians(each, result)]
    shown = [*middle, *(value for row in rows for value in row.losses)]
    return fitted([value for value in shown if math.isfinite(value)])


def _target(result: Result) -> list[Figure]:
    """Return the line of the target, if there is one."""
    if result.target is None:
        return []
    place = {"xref": "paper", "x0": 0, "x1": 1, "y0": result.target, "y1": result.target}
    label = {
        "text": "target",
        "textposition": "start",
        "padding": 5,
        "font": {"color": "var(--soft)"},
    }
    line = {"color": "var(--soft)", "width": 1, "dash": "dot"}
    return [{"type": "line", "line": line, "label": label} | place]
