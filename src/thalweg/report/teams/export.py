"""Trainings with several workers as data: everything as JSON, or a line for each look as CSV."""

from __future__ import annotations

from typing import Any

from thalweg.parallel import Team, Teams
from thalweg.report.data import as_object, tabled
from thalweg.report.teams import words


def as_json(teams: Teams) -> str:
    """Return everything as JSON, each number of workers on a line of its own."""
    found = [_team(teams, team) for team in teams.teams]
    return as_object(
        {
            "problem": teams.problem,
            "description": teams.description,
            "target": teams.target,
            "teams": found,
        }
    )


def _team(teams: Teams, team: Team) -> dict[str, Any]:
    plain = {name: value for name, value in vars(team).items() if name != "model"}
    return {
        **plain,
        "history": [point._asdict() for point in team.history],
        "losses": [each._asdict() for each in team.losses],
        "tally": team.tally.as_data(),
        "examples_a_second": team.speed,
        "time_to_target": None if teams.target is None else team.reached(teams.target),
        "times_the_examples": words.faster(teams, team),
        "times_sooner": words.earlier(teams, team),
    }


def as_csv(teams: Teams) -> str:
    """Return a table with a line for each look at the parameters."""
    return tabled(
        {"workers": team.workers, **point._asdict()}
        for team in teams.teams
        for point in team.history
    )
