"""The map of a simulation as a table for the terminal: a row for each condition."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.parallel import Cell, Simulation, best
from thalweg.report.simulation import words


def simulation_summary(simulation: Simulation) -> RenderableType:
    """Return what the map shows, and the map."""
    first, *others = words.sentences(simulation)
    return Group(
        Text(words.question(simulation), style="dim"),
        Text(first, style="bold"),
        *map(Text, others),
        "",
        table(simulation),
        "",
        Text(words.rates(simulation), style="dim"),
        Text(words.READING, style="dim"),
    )


def table(simulation: Simulation) -> Table:
    """Return the losses, those of an algorithm in a column; the lowest of a row is bold."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("workers", "delay", *simulation.rates):
        drawn.add_column(title, justify="right", overflow="fold")
    for (workers, delay), lowest in best(simulation.cells).items():
        row = [each for each in simulation.cells if (each.workers, each.delay) == (workers, delay)]
        drawn.add_row(f"{workers:,}", f"{delay:g}", *(_cell(each, each is lowest) for each in row))
    return drawn


def _cell(found: Cell, lowest: bool) -> Text:
    return Text(words.cell(found), style="bold" if lowest else "")
