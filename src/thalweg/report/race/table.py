"""The board of a race as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.report import numerals
from thalweg.report.race import words

if TYPE_CHECKING:
    from thalweg.racing import Header, Result, Row

_NUMBERS = ("best lr", "validation loss", "accuracy", "time")


def race_summary(result: Result) -> RenderableType:
    """Return the claim, the table, and under it what the table does not say."""
    header = result.header
    notes = [words.unfinished(result), *words.protocol(header), words.reading(result)]
    return Group(
        Text(words.claim(header), style="bold"),
        table(result),
        *(Text(note) for note in notes if note),
        Text(words.versions(header), style="dim"),
    )


def table(result: Result) -> Table:
    """Return one row per rule, the lowest validation loss first.

    The time adds up all runs of a rule, with whatever had to be compiled.
    """
    drawn = Table()
    drawn.add_column("rule", no_wrap=True)
    for name in _NUMBERS:
        drawn.add_column(name, justify="right", no_wrap=True)
    if any(words.notes(row, result.header) for row in result.board):
        drawn.add_column("note")
    for row in result.board:
        drawn.add_row(*_cells(row, result.header)[: len(drawn.columns)])
    return drawn


def _cells(row: Row, header: Header) -> tuple[str, ...]:
    best = row.best
    if best.failed:
        numbers = (numerals.NONE, numerals.loss(best.loss), numerals.NONE)
    else:
        numbers = (numerals.rate(best.lr), numerals.loss(best.loss), numerals.share(best.accuracy))
    return (row.rule, *numbers, numerals.seconds(row.seconds), words.notes(row, header))
