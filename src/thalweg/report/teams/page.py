"""Trainings with several workers on a page: what they saved, their curves, and their ledger."""

from __future__ import annotations

from html import escape

from thalweg.parallel import Teams
from thalweg.report.frame import framed, paragraphs, points, section, table
from thalweg.report.teams import figures, ledger, words

_RUNNING = (
    "Thin: the running loss, the mean of some batches while the parameters were changing. With "
    "dots: the validation set, at the server's parameters."
)

_READINGS = {
    "time": ("Loss against time", _RUNNING),
    "examples": (
        "Loss against examples",
        "The same curves over what all workers have seen together. A curve above that of fewer "
        "workers shows what late gradients, larger batches or divided rates cost.",
    ),
    "speed": (
        "What more workers save",
        "How many times the examples a second they see, and how many times sooner they come to the "
        "loss of the table. Below 1 they are slower; the dotted line is how many they are.",
    ),
    "staleness": (
        "How late gradients were",
        "The updates that a shard had made between the parameters that a push was measured at and "
        "its arrival.",
    ),
}


def teams_page(teams: Teams) -> str:
    """Return the page of trainings with several workers, as HTML."""
    drawn = {
        "time": figures.against_time(teams),
        "examples": figures.against_examples(teams),
        "speed": figures.speed_up(teams),
        "staleness": figures.staleness(teams),
    }
    pictures = {name: figure for name, figure in drawn.items() if figure is not None}
    return framed("teams/page", _texts(teams, list(pictures)), pictures)


def _texts(teams: Teams, pictures: list[str]) -> dict[str, str]:
    return {
        "title": escape(words.question(teams)),
        "question": escape(words.question(teams)),
        "claim": escape(words.claim(teams)),
        "others": points(words.others(teams)),
        "teams": table(words.columns(teams), [words.cells(teams, team) for team in teams.teams]),
        "reading": escape(words.reading(teams)),
        "sections": "\n".join(section(name, *_READINGS[name]) for name in pictures),
        "ledger": table(ledger.columns(teams), [ledger.cells(teams, team) for team in teams.teams]),
        "refusals": escape(ledger.refusals(teams)),
        "settings": paragraphs(words.settings(teams), ""),
        "description": escape(teams.description),
        "versions": escape(words.versions(teams)),
    }
