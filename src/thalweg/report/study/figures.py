"""The pictures of trainings: losses, accuracy and learning rate against the epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from thalweg.report.figure import Figure, ceiling, colour, log_axis, thinned
from thalweg.report.study import words

if TYPE_CHECKING:
    from thalweg.training import Epoch, Study, Trained

Points = list[tuple[float, float]]

POINTS = 400
"""How many points of a running curve are drawn at most."""

_LOOKS = {
    "running": {"width": 1, "dash": "solid"},
    "fixed training subset": {"width": 2, "dash": "dash"},
    "validation": {"width": 2, "dash": "solid"},
}


def loss(study: Study) -> Figure:
    """Draw running loss, loss on the fixed training subset, and validation loss.

    The axis is logarithmic where all losses are positive. What is ten times above where the
    trainings began is out of the view.
    """
    traces = [trace for number in range(len(study.runs)) for trace in _losses(study, number)]
    values = [value for trace in traces for value in trace["y"]]
    most = ceiling(run.losses[0][1] for run in study.runs if run.losses)
    return {"data": traces, "layout": _layout("loss", _fitted(values, most))}


def accuracy(study: Study) -> Figure | None:
    """Draw validation accuracy, or return None where there is none."""
    curves = [_points(run, lambda epoch: epoch.valid_accuracy) for run in study.runs]
    if not any(curves):
        return None
    traces = [
        _trace(words.label(run), points, colour(number))
        for number, (run, points) in enumerate(zip(study.runs, curves, strict=True))
    ]
    return {"data": traces, "layout": _layout("validation accuracy", {"tickformat": ".0%"})}


def rate(study: Study) -> Figure:
    """Draw the learning rate as it went; logarithmic where several are far apart."""
    traces = []
    for number, run in enumerate(study.runs):
        points = thinned(_by_epoch(run, run.rates), POINTS)
        trace = _trace(words.label(run), points, colour(number))
        traces.append(trace | {"mode": "lines" if len(points) > 1 else "markers"})
    found = [value for trace in traces for value in trace["y"]]
    far = len(traces) > 1 and min(found, default=0) > 0 and max(found) > 20 * min(found)
    axis = {"type": "log", "dtick": 1, "tickformat": "~g"} if far else {}
    return {"data": traces, "layout": _layout("learning rate", axis)}


def _losses(study: Study, number: int) -> Iterator[Figure]:
    """Yield the curves of a run: one colour for each run, or for each curve of a single one."""
    run, alone = study.runs[number], len(study.runs) == 1
    curves = {
        "running": thinned(_by_epoch(run, run.losses), POINTS),
        "fixed training subset": _points(run, lambda epoch: epoch.train_loss),
        "validation": _points(run, lambda epoch: epoch.valid_loss),
    }
    found = {kind: points for kind, points in curves.items() if points}
    for place, (kind, points) in enumerate(found.items()):
        hue = colour(place if alone else number)
        trace = _trace(kind if alone else words.label(run), points, hue)
        trace["line"] = trace["line"] | _LOOKS[kind]
        trace["mode"] = "lines" if kind == "running" and len(points) > 1 else trace["mode"]
        trace["opacity"] = 0.5 if kind == "running" else 1
        trace["legendgroup"] = kind if alone else run.id
        trace["showlegend"] = alone or place == len(found) - 1
        trace["hovertemplate"] = (
            f"{kind}, epoch %{{x:.3g}}: %{{y:.4g}}<extra>%{{fullData.name}}</extra>"
        )
        yield trace


def _trace(name: str, points: Points, hue: str) -> Figure:
    return {
        "type": "scatter",
        "name": name,
        "mode": "lines" if len(points) > 40 else "lines+markers",
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "line": {"color": hue, "width": 2},
        "hovertemplate": "epoch %{x:.3g}: %{y:.4g}<extra>%{fullData.name}</extra>",
    }


def _points(run: Trained, value: Callable[[Epoch], float | None]) -> Points:
    pairs = [(epoch.number, value(epoch)) for epoch in run.epochs]
    return [(x, y) for x, y in pairs if y is not None and math.isfinite(y)]


def _by_epoch(run: Trained, curve: Sequence[tuple[int, float]]) -> Points:
    """Return a curve over updates as one over epochs, what is not finite left out."""
    first = run.epochs[0].updates if run.epochs else None
    each = run.updates_per_epoch or first or curve[-1][0] if curve else 1
    return [(update / each, value) for update, value in curve if math.isfinite(value)]


def _fitted(values: Sequence[float], most: float) -> Figure:
    if not values or min(values) <= 0:
        return {}
    low, high = min(values), min(max(values), max(most, 2 * min(values)))
    return log_axis(low, high)


def _layout(title: str, y: Figure) -> Figure:
    x = {"title": {"text": "epoch"}, "rangemode": "tozero"}
    return {"xaxis": x, "yaxis": {"title": {"text": title}} | y}
