"""What became of trainings with several workers, as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.parallel import Team, Teams
from thalweg.report.teams import ledger, words
from thalweg.report.teams.staleness import drawn, middle

_LEDGER = ("workers", "gradients", "pushes applied", "refused", "lost", "half late by",
           "all late by at most", "so many each")  # fmt: skip


def teams_summary(teams: Teams) -> RenderableType:
    """Return the claim, a line for each number of workers, and what became of pushes."""
    return Group(
        Text(words.question(teams), style="dim"),
        Text(words.claim(teams), style="bold"),
        *map(Text, words.others(teams)),
        "",
        _table(words.columns(teams), (words.cells(teams, team) for team in teams.teams)),
        Text(words.reading(teams), style="dim"),
        "",
        _table(_LEDGER, map(_ledger, teams.teams)),
        *(Text(told) for told in map(ledger.happened, teams.teams) if told),
    )


def _ledger(team: Team) -> list[str]:
    tally = team.tally
    counts = [team.workers, tally.measured.total(), tally.applied, tally.refused, tally.lost,
              middle(tally.staleness), max(tally.staleness, default=0)]  # fmt: skip
    return [*(f"{count:,}" for count in counts), drawn(tally.staleness, len(_LEDGER[-1]))]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in columns:
        bars = title == _LEDGER[-1]
        justify: JustifyMethod = "left" if bars else "right"
        shown.add_column(title, justify=justify, no_wrap=bars or " " not in title)
    for row in rows:
        shown.add_row(*row)
    return shown
