"""A race as one page that holds everything it needs and opens without a network."""

from __future__ import annotations

import json
import os
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from thalweg.report import figures, words
from thalweg.report.file import write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thalweg.racing import Header, Result, Row, Run

_STROKES = {"solid": "none", "dash": "7 4", "dot": "2 3"}


def page(result: Result, path: str | os.PathLike[str]) -> Path:
    """Write ``result`` as an HTML page of about 5 MB to ``path`` and return where it is.

    A file already there is replaced. Raises BadFile where the page cannot be written, with what was
    there untouched.
    """
    from plotly.offline import get_plotlyjs

    template = Template(files("thalweg.report").joinpath("page.html").read_text("utf-8"))
    return write(path, template.substitute(_texts(result), plotly=get_plotlyjs()))


def _texts(result: Result) -> dict[str, str]:
    header = result.header
    rules = words.count(len(header.rules), "rule")
    pictures = {"curves": figures.curves(result), "sensitivity": figures.sensitivity(result)}
    return {
        "count": str(len(header.rules)),
        "title": escape(f"{rules} on {header.problem}"),
        "claim": escape(words.claim(header)),
        "warning": _paragraphs([words.unfinished(result)], "warning"),
        "protocol": _paragraphs(words.protocol(header), ""),
        "description": escape(header.description),
        "versions": escape(words.versions(header)),
        "reading": escape(words.reading(result)),
        "board": _board(result),
        "runs": _runs(result.runs),
        "figures": _embedded(pictures),
    }


def _paragraphs(texts: Iterable[str], kind: str) -> str:
    return "\n".join(f'<p class="{kind}">{escape(text)}</p>' for text in texts if text)


def _embedded(data: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def _board(result: Result) -> str:
    head = ["rule", "best lr", "validation loss", "accuracy", "time"]
    if any(words.notes(row, result.header) for row in result.board):
        head.append("note")
    return _table(head, [_cells(row, result.header)[: len(head)] for row in result.board])


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
    return _table(head, [_run(run) for run in sorted(runs, key=lambda run: (run.rule, run.lr))])


def _run(run: Run) -> list[str]:
    share = words.accuracy(run.accuracy)
    epochs = str(len(run.curve))
    return [
        escape(run.rule), words.rate(run.lr), words.loss(run.loss), share, epochs,
        words.seconds(run.seconds),
    ]  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are HTML already; the first column and any note stand left."""
    kinds = ["left", *("note" if name == "note" else "" for name in head[1:])]
    lines = [_line("th", head, kinds), *(_line("td", row, kinds) for row in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _line(element: str, cells: Sequence[str], kinds: Sequence[str]) -> str:
    pairs = zip(cells, kinds, strict=True)
    inner = "".join(f'<{element} class="{kind}">{cell}</{element}>' for cell, kind in pairs)
    return f"<tr>{inner}</tr>"
