"""The performance profiles of a contest, in the plain form that plotly.js draws."""

from __future__ import annotations

import math

from thalweg.racing import Contest
from thalweg.racing.statistics import LARGEST_RATIO
from thalweg.report.contest.standings import names, ranked
from thalweg.report.figure import Figure
from thalweg.report.race.figures.looks import LEADING, look, trace

WIDEST, THINNEST, THINNER = 8.0, 2.0, 1.5
"""How wide the first rule's line is, those far down are, and by how much the next is thinner."""

SPARE = 0.03
"""The room beside the ends of both axes."""


def profiles(contest: Contest) -> Figure | None:
    """Draw on which share of the problems a rule needs at most so many times the fastest's updates.

    None where no rule reached a target.
    """
    ratios = [ratio for each in contest.profiles.values() for ratio in each.ratios]
    if not any(map(math.isfinite, ratios)):
        return None
    drawn = [_steps(contest, rule, place) for place, rule in enumerate(ranked(contest))]
    layout = {
        "xaxis": {
            "title": {"text": "updates to the target, in multiples of the fastest rule's"},
            "range": [1 - SPARE, LARGEST_RATIO + SPARE],
        },
        "yaxis": {
            "title": {"text": "share of the problems"},
            "range": [-SPARE, 1 + SPARE],
            "tickformat": ".0%",
        },
    }
    return {"data": drawn, "layout": layout}


def _steps(contest: Contest, rule: str, place: int) -> Figure:
    """Return the line of a rule's profile, which stays level until it jumps."""
    name, seen = names(contest)[rule], look(place, place < LEADING)
    multiples, shares = zip(*contest.profiles[rule].steps, strict=True)
    width = max(WIDEST - THINNER * place, THINNEST)
    return trace(name, rule, seen) | {
        "mode": "lines",
        "x": multiples,
        "y": shares,
        "line": {"color": seen.colour, "dash": seen.dash, "width": width, "shape": "hv"},
        "hovertemplate": f"<b>{name}</b><br>within %{{x:.3g}} times the fastest: %{{y:.0%}}"
        "<extra></extra>",
    }
