"""The standings of a contest as a table for the terminal, and a line for each of its races."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.racing import Contest, Result
from thalweg.report.contest import standings
from thalweg.report.race import words


def contest_summary(contest: Contest) -> RenderableType:
    """Return the verdict, the standings, and what each race says for itself."""
    first, *others = contest.sentences
    return Group(
        Text(first, style="bold"),
        *([Text(" ".join(others))] if others else []),
        "",
        table(contest),
        "",
        *map(_line, contest.results),
        Text(words.versions(contest.results[0].header), style="dim"),
    )


def table(contest: Contest) -> Table:
    """Return one row per rule, the highest profile first."""
    drawn = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    drawn.add_column("rule", no_wrap=True)
    for title in standings.titles(contest):
        drawn.add_column(title, justify="right", overflow="fold")
    names = standings.names(contest)
    for rule in standings.ranked(contest):
        drawn.add_row(names[rule], *standings.cells(contest, rule))
    return drawn


def _line(result: Result) -> Text:
    return Text.assemble((result.problem, "bold"), f": {standings.claim(result)}")
