"""What became of trainings, as a table for the terminal, and where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.report.study import words

if TYPE_CHECKING:
    from thalweg.training import Study


def study_summary(study: Study) -> RenderableType:
    """Return the claim, a line for each run, and what the lines do not say."""
    notes = [*words.warnings(study), words.reading(study)]
    return Group(
        Text(f"{words.title(study)}: {words.claim(study)}", style="bold"),
        _table(study),
        *(Text(note) for note in notes if note),
    )


def _table(study: Study) -> Table:
    drawn = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    drawn.add_column("run", no_wrap=True)
    for name in words.COLUMNS:
        drawn.add_column(name, justify="right")
    for run in study.runs:
        drawn.add_row(*words.cells(run))
        for cells in words.made_cells(run):
            drawn.add_row(*cells)
    return drawn
