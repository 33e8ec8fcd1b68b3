"""The board of a race as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from thalweg.report import words

if TYPE_CHECKING:
    from thalweg.racing import Header, Result, Row

_COLUMNS = {
    "rule": "left",
    "best lr": "right",
    "validation loss": "right",
    "accuracy": "right",
    "time": "right",
    "note": "left",
}


def table(result: Result) -> Table:
    """Return one row per rule, the lowest validation loss first.

    The time adds up all runs of a rule, with whatever had to be compiled.
    """
    drawn = Table(title=words.claim(result.header), caption=_caption(result), title_justify="left")
    drawn.title_style, drawn.caption_style, drawn.caption_justify = "bold", "dim", "left"
    for name, justify in _COLUMNS.items():
        drawn.add_column(name, justify=justify, no_wrap=name != "note")
    for row in result.board:
        drawn.add_row(*_cells(row, result.header))
    return drawn


def _cells(row: Row, header: Header) -> tuple[str, ...]:
    best = row.best
    if best.failed:
        numbers = ("-", words.loss(best.loss), "-")
    else:
        numbers = (words.rate(best.lr), words.loss(best.loss), words.accuracy(best.accuracy))
    return (row.rule, *numbers, words.seconds(row.seconds), words.notes(row, header))


def _caption(result: Result) -> str:
    parts = [words.unfinished(result), *words.protocol(result.header), words.edge_warning(result)]
    return "\n".join([*filter(None, parts), words.versions(result.header)])
