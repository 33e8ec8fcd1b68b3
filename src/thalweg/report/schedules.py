"""The kinds of schedules on screen: the list, and one sheet for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from thalweg.report.catalogue import code, section

if TYPE_CHECKING:
    from thalweg.schedules import Kind


def schedule_listing(kinds: Iterable[Kind]) -> RenderableType:
    """Return the kinds of schedules one below the other: call, what it does, and its paper."""
    drawn = Table.grid(padding=(0, 2))
    for kind in kinds:
        drawn.add_row(Text(kind.signature, style="cyan"))
        drawn.add_row(Padding(Text(kind.summary), (0, 0, 0, 2)))
        if kind.source:
            drawn.add_row(Padding(Text(kind.source, style="dim"), (0, 0, 0, 2)))
    return Group(drawn, "", "thalweg schedules NAME shows one of them in full.")


def schedule_sheet(kind: Kind) -> RenderableType:
    """Return all there is to know of a kind: call, formula, contract of endpoints, drawing."""
    return Group(*_sheet(kind))


def _sheet(kind: Kind) -> Iterator[RenderableType]:
    from thalweg.report.plot import plot

    yield Text.assemble((kind.signature, "bold cyan"), f"  {kind.summary}")
    if kind.source:
        yield Text(kind.source, style="dim")
    yield from section("Formula", code(kind.text, "python"))
    if lists := [name for name, value in kind.example.items() if isinstance(value, list)]:
        yield Text(f"Written out for {' and '.join(lists)} as long as in the example.", style="dim")
    yield from section("Endpoints", Text(endpoints(kind)))
    yield from section(kind.call, plot(kind(**kind.example)))


def endpoints(kind: Kind) -> str:
    """Return in words what the first and the last update use, and what holds after that."""
    made = kind(**kind.example)
    begins = f"With {kind.call}, update 1 uses {made(0):.6g}"
    if made.horizon is None:
        return (
            f"k is the number of updates made before. {begins}; there is no last one, "
            f"and update 10,000 uses {made(9999):.6g}."
        )
    return (
        "k is the number of updates made before; from steps - 1 on it stands still. "
        f"{begins} and update {made.horizon:,}, the last, {made(made.horizon - 1):.6g}, "
        "as does every later one."
    )
