"""What tuning does for each rule: every trial, the best of so many of them, and the share near it.

Only the trials that all rules have count; those that the reference has beyond them set the target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from thalweg.racing import Result, Row, Run
from thalweg.racing.protocol import of
from thalweg.racing.result import TRIAL
from thalweg.racing.statistics import expected_best, median_best
from thalweg.racing.statistics import sensitivity as share_near
from thalweg.report import numerals
from thalweg.report.figure import Figure, finite, fitted, log_ticks
from thalweg.report.race import words
from thalweg.report.race.figures.looks import Look, looks, trace
from thalweg.report.race.figures.strips import strip_layout

POINTS = 40
"""At most so many points of a line that goes up to the number of trials."""


def sensitivity(result: Result) -> Figure | None:
    """Draw the metric of every trial against its learning rate.

    None in a race of defaults, or where every trial diverged.

    Trials that diverged, or ended far above the best, are crosses on a line at the top. The one
    whose setting was chosen is larger.
    """
    if not _tuned(result):
        return None
    trials = {row.rule: _trials(row, result) for row in result.board}
    metric = result.header.terms.metric
    values = [run.value(metric) for runs in trials.values() for run in runs]
    top = _ceiling([value for value in values if math.isfinite(value)])
    look = looks(result)
    drawn = [
        _response(row, trials[row.rule], result, (look[row.rule], top)) for row in result.board
    ]
    rates = [run.task.setting["lr"] for runs in trials.values() for run in runs]
    layout = {
        "xaxis": {"title": {"text": "learning rate"}, "type": "log"} | log_ticks(rates, (1,)),
        "yaxis": _axis(result, [min(value, 1.2 * top) for value in values]),
    }
    off = any(value >= top for value in values)
    return {"data": drawn, "layout": layout | (_top_line(top) if off else {})}


def _tuned(result: Result) -> bool:
    """Return whether there is something to say about tuning: several trials, and some finished."""
    trials = [value for row in result.board for value in row.trials]
    return result.header.terms.trials > 1 and any(map(math.isfinite, trials))


def _trials(row: Row, result: Result) -> list[Run]:
    return sorted(of(result.runs, row.rule, TRIAL), key=lambda run: run.task.setting.get("lr", 0.0))


def _ceiling(values: Sequence[float]) -> float:
    """Return the highest value worth telling from others: a hundred times the lowest."""
    highest = 1.3 * max(values) or 1.0
    return min(highest, 100 * min(values)) if min(values) > 0 else highest


def _response(row: Row, runs: Sequence[Run], result: Result, drawn: tuple[Look, float]) -> Figure:
    look, top = drawn
    values = [run.value(result.header.terms.metric) for run in runs]
    symbols = ["x" if value >= top else look.symbol for value in values]
    sizes = [13 if run.task.setting == row.setting else 7 for run in runs]
    begun = trace(row.name, row.rule, look)
    return begun | {
        "mode": "lines+markers" if len(result.header.spaces[row.rule].axes) == 1 else "markers",
        "line": begun["line"] | {"width": 1.5},
        "marker": begun["marker"] | {"symbol": symbols, "size": sizes},
        "x": [run.task.setting["lr"] for run in runs],
        "y": [min(value, top) for value in values],
        "text": [_told(row, run, result) for run in runs],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _told(row: Row, run: Run, result: Result) -> str:
    metric, write = result.header.terms.metric, words.writer(result.header)
    value = (
        "diverged" if run.failed else f"{words.metric(result.header)} {write(run.value(metric))}"
    )
    chosen = ", chosen" if run.task.setting == row.setting else ""
    return f"<b>{row.name}</b>, {words.written(run.task.setting)}{chosen}<br>{value}"


def budget(result: Result) -> Figure | None:
    """Draw the metric of the best of k trials, expected over all picks.

    None where there is nothing to pick.

    A line begins where no pick can hold failures alone.
    """
    if not _tuned(result):
        return None
    look = looks(result)
    drawn = [_budget(row, look[row.rule]) for row in result.board]
    seen = [each for each in drawn if each["visible"] is True]
    values = [value for each in seen for value in each["y"] if value is not None]
    x = {"title": {"text": "trials, k"}, "dtick": -(-len(result.board[0].trials) // 10)}
    return {"data": drawn, "layout": {"xaxis": x, "yaxis": _axis(result, values)}}


def _budget(row: Row, look: Look) -> Figure:
    counts = _counts(len(row.trials))
    expected = [expected_best(row.trials, count) for count in counts]
    middle = [numerals.significant(median_best(row.trials, count)) for count in counts]
    return trace(row.name, row.rule, look) | {
        "mode": "lines+markers",
        "marker": {"color": look.colour, "symbol": look.symbol, "size": 5},
        "x": counts,
        "y": finite(expected),
        "customdata": middle,
        "hovertemplate": f"<b>{row.name}</b><br>best of %{{x}}: expected %{{y:.4g}}, "
        "median %{customdata}<extra></extra>",
    }


def _counts(trials: int) -> list[int]:
    """Return every number of trials where they are few, else so many evenly spaced in logarithm."""
    if trials <= POINTS:
        return list(range(1, trials + 1))
    return sorted({round(trials ** (k / (POINTS - 1))) for k in range(POINTS)})


def near(result: Result) -> Figure | None:
    """Draw which share of a rule's trials ended near its own best one.

    None where there is nothing to choose from.
    """
    if not _tuned(result):
        return None
    shares = [share_near(row.trials) for row in result.board]
    look = looks(result)
    layout = strip_layout([row.name for row in result.board])
    layout["xaxis"] = {
        "title": {"text": "share of trials"},
        "tickformat": ".0%",
        "range": [0, 1.12 * max(*shares, 0.1)],
    }
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": shares,
        "y": list(range(len(shares))),
        "marker": {"color": [look[row.rule].colour for row in result.board]},
        "text": [f"{share:.0%}" for share in shares],
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [row.name for row in result.board],
        "hovertemplate": "<b>%{customdata}</b>: %{x:.0%}<extra></extra>",
    }
    return {"data": [bars], "layout": layout}


def _axis(result: Result, values: Sequence[float]) -> Figure:
    return {"title": {"text": words.metric(result.header)}} | fitted(values)


def _top_line(top: float) -> Figure:
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": top, "y1": top}
    label = {"text": "× diverged or off the scale", "textposition": "start", "padding": 6}
    return {"shapes": [line | {"label": label, "line": {"color": "var(--rim)", "width": 1}}]}
