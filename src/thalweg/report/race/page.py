"""A race on a page: the verdict, the board, the pictures, and how it was carried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from thalweg.racing import Result
from thalweg.racing.space import Space
from thalweg.report import numerals
from thalweg.report.figure import Figure
from thalweg.report.frame import framed, points, section, table
from thalweg.report.race import figures, words
from thalweg.report.race.board import columns
from thalweg.report.race.export import entries, names
from thalweg.report.race.figures.looks import Look, looks

_STROKES = {"solid": "none", "dash": "7 4", "dot": "2 3", "dashdot": "7 3 2 3"}

_PICTURES = {
    "curves": figures.curves,
    "finals": figures.finals,
    "sensitivity": figures.sensitivity,
    "times": figures.times,
    "budget": figures.budget,
    "near": figures.near,
}

_READINGS = {
    "curves": (
        "Training curves",
        "Each rule at its chosen setting: every seed is a thin line, their median the thick one. A "
        "click on a name hides or shows a rule, a double-click shows it alone.",
    ),
    "finals": (
        "Where every seed ended",
        "A dot is one seed, as high in the row of every rule; the bar is the median, the line its "
        "95% interval.",
    ),
    "sensitivity": (
        "How much the learning rate matters",
        "Every trial of the search: the flatter and lower, the easier to tune. The larger marker "
        "is the chosen one. What the learning rate means differs from rule to rule.",
    ),
    "times": (
        "Time to the target",
        "After how many updates each seed was first seen at the target or below it.",
    ),
    "budget": (
        "What so many trials would have found",
        "The best of k of a rule's trials, the mean over all ways to pick them. A line begins "
        "where no pick can consist of failures alone.",
    ),
    "near": (
        "How easily a good setting is found",
        "The share of a rule's trials that came within a tenth of its own best one.",
    ),
}
_HIDING = ("curves", "sensitivity", "budget")


def race_page(result: Result) -> str:
    """Return the page of a race, as HTML."""
    drawn = {name: draw(result) for name, draw in _PICTURES.items()}
    pictures = {name: figure for name, figure in drawn.items() if figure is not None}
    return framed("race/page", _texts(result, pictures), pictures)


def _texts(result: Result, pictures: dict[str, Figure]) -> dict[str, str]:
    header = result.header
    claim, *others = words.verdict(result)
    return {
        "title": escape(words.title(header)),
        "question": escape(words.question(header)),
        "claim": escape(claim),
        "verdict": points(others),
        "board": board(result),
        "reading": escape(reading(result)),
        "sections": "\n".join(_section(name, result) for name in pictures),
        "protocol": points(words.protocol(result)),
        "description": escape(header.description),
        "versions": escape(words.versions(header)),
        "spaces": spaces(result),
        "count": str(len(result.runs)),
        "runs": runs(result),
    }


def board(result: Result, ranked: Sequence[str] = ()) -> str:
    """Return the board as a table, with the look that each rule has in the pictures.

    For *ranked* see looks.
    """
    shown, look = columns(result), looks(result, ranked)
    rows = [
        [named(row.name, look[row.rule]), *(escape(each.tell(row)) for each in shown)]
        for row in result.board
    ]
    return table(["rule", *(escape(each.title) for each in shown)], rows)


def named(name: str, look: Look) -> str:
    """Return the name of a rule behind a piece of its line."""
    return (
        '<svg class="key" height="10" viewBox="0 0 28 10" aria-hidden="true"><path d="M0 5h28" '
        f'style="stroke: {look.colour}" stroke-width="3" '
        f'stroke-dasharray="{_STROKES[look.dash]}"/></svg>{escape(name)}'
    )


def reading(result: Result) -> str:
    """Say how the numbers of the board are read."""
    parts = ["Medians over the fresh seeds, in brackets with their 95% interval."]
    if result.target is not None:
        parts.append(
            "× best is the median ratio, seed by seed, of a rule's updates to those of the first."
        )
    return " ".join(parts)


def _section(name: str, result: Result) -> str:
    title, reading = _READINGS[name]
    seen = [each.seen for each in looks(result).values()]
    return section(name, title, reading + (words.hidden(seen) if name in _HIDING else ""))


def spaces(result: Result) -> str:
    """Return the search spaces as a table: as the search began with them, and as it ended."""
    began = result.header.spaces
    rows = [
        [escape(result.header.names[rule]), _axes(space), _axes(result.spaces[rule])]
        for rule, space in began.items()
    ]
    shown = ["rule", "began with", "ended with"] if result.extended else ["rule", "searched"]
    return table(shown, [row[: len(shown)] for row in rows], shown[1:])


def _axes(space: Space) -> str:
    return escape("; ".join(map(str, space.axes)))


def runs(result: Result) -> str:
    """Return every training of a race as a table."""
    return table(["phase", *names(result)[1:]], list(_runs(result)))


def _runs(result: Result) -> Iterator[list[str]]:
    for entry in entries(result):
        yield [escape(_cell(name, value)) for name, value in entry.items()]


def _cell(name: str, value: str | float | None) -> str:
    if value is None:
        return numerals.NONE
    if isinstance(value, str | int):
        return str(value)
    if "accuracy" in name or name == "error":
        return numerals.share(value)
    return numerals.seconds(value) if name == "seconds" else numerals.significant(value)
