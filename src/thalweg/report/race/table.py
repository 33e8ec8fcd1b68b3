"""The board of a race as a table for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.racing import Result
from thalweg.report.race import words
from thalweg.report.race.board import columns

_ON_PAGE_ONLY = ("note", "reached", "test loss")
"""What the verdict says already, and what has no room beside the rest in 80 columns."""


def race_summary(result: Result) -> RenderableType:
    """Return the verdict, the board, and under it what the race was decided by and what it is."""
    first, *others = words.verdict(result)
    return Group(
        Text(first, style="bold"),
        *([Text(" ".join(others))] if others else []),
        "",
        table(result),
        "",
        Text(words.question(result.header)),
        *(Text(remark) for remark in result.remarks),
        Text(words.versions(result.header), style="dim"),
    )


def table(result: Result) -> Table:
    """Return one row per rule, the lowest median of the metric first."""
    drawn = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    drawn.add_column("rule", no_wrap=True)
    shown = [each for each in columns(result) if each.title not in _ON_PAGE_ONLY]
    for each in shown:
        title = "\n".join(each.title.rsplit(" ", 1))
        drawn.add_column(title, justify="right", overflow="fold")
    for row in result.board:
        drawn.add_row(row.name, *(each.tell(row) for each in shown))
    return drawn
