"""A race on a page: the board, the curves, and how much the learning rate matters."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from thalweg.report import figures, words
from thalweg.report.frame import framed, paragraphs, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.racing import Header, Result, Row, Run

_STROKES = {"solid": "none", "dash": "7 4", "dot": "2 3"}


def race_page(result: Result) -> str:
    """Return the page of a race, as HTML."""
    pictures = {"curves": figures.curves(result), "sensitivity": figures.sensitivity(result)}
    return framed("race", _texts(result), pictures)


def _texts(result: Result) -> dict[str, str]:
    header = result.header
    rules = words.count(len(header.rules), "rule")
    return {
        "count": str(len(header.rules)),
        "title": escape(f"{rules} on {header.problem}"),
        "claim": escape(words.claim(header)),
        "warning": paragraphs([words.unfinished(result)], "warning"),
        "protocol": paragraphs(words.protocol(header), ""),
        "description": escape(words.sentence(header.description)),
        "versions": escape(words.versions(header)),
        "reading": escape(words.reading(result)),
        "board": _board(result),
        "runs": _runs(result.runs),
    }


def _board(result: Result) -> str:
    head = ["rule", "best lr", "validation loss", "accuracy", "time"]
    if any(words.notes(row, result.header) for row in result.board):
        head.append("note")
    return table(head, [_cells(row, result.header)[: len(head)] for row in result.board])


def _cells(row: Row, header: Header) -> list[str]:
    best = row.best
    shown = "–" if best.failed else words.rate(best.lr)
    share = "–" if best.failed else words.accuracy(best.accuracy)
    name = _key(row.rule, header) + escape(row.rule)
    note = escape(words.notes(row, header))
    return [name, shown, words.loss(best.loss), share, words.seconds(row.seconds), note]


def _key(rule: str, header: Header) -> str:
    look = figures.style(rule, header)
    return (
        '<svg class="key" height="10" viewBox="0 0 28 10" aria-hidden="true"><path d="M0 5h28" '
        f'stroke="{look["color"]}" stroke-width="3" '
        f'stroke-dasharray="{_STROKES[look["dash"]]}"/></svg>'
    )


def _runs(runs: Sequence[Run]) -> str:
    head = ["rule", "lr", "final validation loss", "accuracy", "epochs", "time"]
    return table(head, [_run(run) for run in sorted(runs, key=lambda run: (run.rule, run.lr))])


def _run(run: Run) -> list[str]:
    share = words.accuracy(run.accuracy)
    epochs = str(len(run.curve))
    return [
        escape(run.rule), words.rate(run.lr), words.loss(run.loss), share, epochs,
        words.seconds(run.seconds),
    ]  # fmt: skip
