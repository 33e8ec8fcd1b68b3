"""The pictures of trainings with several workers: losses, what more of them save, and lateness."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from thalweg.parallel import Point, RunningLoss, Team, Teams
from thalweg.report.figure import Figure, ceiling, colour, finite, fitted, log_axis, thinned
from thalweg.report.teams import words
from thalweg.report.teams.staleness import bars, width_of

Place = Callable[[Point | RunningLoss], float]

BARS = 40
"""How many bars the updates late are told in at most."""

POINTS = 40
"""How many points of a running loss are drawn at most."""

FAR = 8.0
"""How many times longer than another a training takes for the axis of time to be logarithmic."""


def against_time(teams: Teams) -> Figure:
    """Draw the losses against the engine's time."""
    ends = [team.history[-1].time for team in teams.teams if team.history]
    begins = [each.time for team in teams.teams for each in team.losses[:1]]
    far = ends and max(ends) > FAR * min(ends) and min(begins) > 0
    axis = log_axis(min(begins), max(ends)) if far else {"rangemode": "tozero"}
    title = f"{teams.teams[0].unit}, logarithmic" if far else teams.teams[0].unit
    return _losses(teams, lambda each: each.time, {"title": {"text": title}, **axis})


def against_examples(teams: Teams) -> Figure:
    """Draw the losses against the examples that all workers have seen together."""
    axis = {"title": {"text": "examples"}, "rangemode": "tozero"}
    return _losses(teams, lambda each: each.examples, axis)


def _losses(teams: Teams, place: Place, axis: Figure) -> Figure:
    drawn = [trace for number in range(len(teams.teams)) for trace in _of(teams, number, place)]
    values = [value for trace in drawn for value in trace["y"] if value is not None]
    most = ceiling(team.losses[0].loss for team in teams.teams if team.losses)
    seen = [value for value in values if value <= most]
    return {
        "data": drawn,
        "layout": {"xaxis": axis, "yaxis": {"title": {"text": "loss"}, **fitted(seen)}},
    }


def _of(teams: Teams, number: int, place: Place) -> Iterator[Figure]:
    """Yield the running loss of a team, thin, and that on the validation set where there is one."""
    team, alone = teams.teams[number], len(teams.teams) == 1
    looked = [point for point in team.history if point.valid_loss is not None]
    running = _trace(thinned([(place(each), each.loss) for each in team.losses], POINTS))
    yield running | {
        "name": "running" if alone else words.label(team), "mode": "lines", "opacity": 0.5,
        "line": {"color": colour(number), "width": 1}, "legendgroup": str(number),
        "showlegend": alone or not looked,
        "hovertemplate": "running, %{x:.6~g}: %{y:.4g}<extra>" + words.label(team) + "</extra>",
    }  # fmt: skip
    if looked:
        hue = colour(number + alone)
        judged = _trace([(place(point), point.judged) for point in looked])
        yield judged | {
            "name": "validation" if alone else words.label(team), "mode": "lines+markers",
            "line": {"color": hue, "width": 2}, "legendgroup": str(number + alone),
            "hovertemplate": "validation, %{x:.6~g}: %{y:.4g}<extra>" + words.label(team)
            + "</extra>",
        }  # fmt: skip


def _trace(pairs: list[tuple[float, float]]) -> Figure:
    return {
        "type": "scatter",
        "x": [x for x, _ in pairs],
        "y": finite([y for _, y in pairs]),
    }


def speed_up(teams: Teams) -> Figure | None:
    """Draw what more workers save, beside a line for as many times as there are workers.

    There is nothing to draw for a single team.
    """
    if len(teams.teams) < 2:
        return None
    places = [f"{team.workers:,}" for team in teams.teams]
    first = teams.teams[0].workers
    curves = {
        "examples/s": [words.faster(teams, team) for team in teams.teams],
        "time to loss": [words.earlier(teams, team) for team in teams.teams],
    }
    drawn = [_ratios(name, number, places, of) for number, (name, of) in enumerate(curves.items())]
    ideal = [team.workers / first for team in teams.teams]
    drawn.append(
        _ratios("workers", 6, places, list(ideal))
        | {"mode": "lines", "line": {"color": colour(6), "width": 1.5, "dash": "dot"}}
    )
    found = [value for trace in drawn for value in trace["y"] if value is not None]
    return {
        "data": drawn,
        "layout": {
            "xaxis": {"title": {"text": "workers"}, "type": "category"},
            "yaxis": {
                "title": {"text": f"times {words.label(teams.teams[0])}"}, **fitted([*found, 1.0]),
            },
        },
    }  # fmt: skip


def _ratios(name: str, number: int, places: list[str], values: list[float | None]) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": places,
        "y": values,
        "line": {"color": colour(number), "width": 2.5},
        "marker": {"size": 8},
        "hovertemplate": f"{name}, %{{x}} workers: %{{y:.3g}}<extra></extra>",
    }


def staleness(teams: Teams) -> Figure | None:
    """Draw how late the applied pushes were, as shares of each team's; None where none was late."""
    found = [team.tally.staleness for team in teams.teams]
    if not any(max(each, default=0) for each in found):
        return None
    drawn = [_bars(team, number, width_of(found, BARS)) for number, team in enumerate(teams.teams)]
    return {
        "data": drawn,
        "layout": {
            "barmode": "group",
            "xaxis": {"title": {"text": "updates late"}, "type": "category"},
            "yaxis": {"title": {"text": "share of the applied pushes"}, "tickformat": ".0%"},
        },
    }


def _bars(team: Team, number: int, width: int) -> Figure:
    found = bars(team.tally.staleness, width)
    return {
        "type": "bar",
        "name": words.label(team),
        "x": [name for name, _ in found],
        "y": [count / team.tally.staleness.total() for _, count in found],
        "customdata": [count for _, count in found],
        "marker": {"color": colour(number)},
        "hovertemplate": "%{x} updates late: %{customdata:,} pushes, %{y:.1%}<extra>"
        f"{words.label(team)}</extra>",
    }
