"""`thalweg runs`: what was run, how it went, and how runs differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg import record, report
from thalweg.cli.app import RecordPlace, app, say, screen, whole
from thalweg.cli.places import check_there
from thalweg.errors import BadValue

if TYPE_CHECKING:
    from thalweg.record import Exported, Record

    Export = Callable[[Record, Sequence[str] | None, Path], Exported]

RACE = "race"
"""The kind of a run whose members are told under it alone."""


@app.command("runs")
def show_runs(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="The beginning of an id is enough."),
    ] = None,
    place: RecordPlace = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs of this problem or experiment.")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", parser=whole(1), help="Runs in the list, newest first.")
    ] = 20,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the numbers of the runs to a table.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the runs for TensorBoard.")
    ] = None,
) -> None:
    """List recorded runs, show one, or compare several; export them.

    The runs of a race are listed by its ID, and exported with it. A record can
    be looked at while runs are being written to it.
    """
    if ids and name is not None:
        raise typer.BadParameter(
            "--name chooses runs for the list; leave it out where IDs are given."
        )
    check_there(place)
    exports: list[tuple[Export, Path | None]] = [
        (record.to_csv, csv),
        (record.to_tensorboard, tensorboard),
    ]
    with record.open(place) as book:
        if csv or tensorboard:
            _export(book, _with_members(book, ids or _known(book, name)), exports)
        elif ids:
            _show(book, ids, limit)
        else:
            _list(book, name, limit)


def _known(book: Record, name: str | None) -> list[str]:
    found = [run.id for run in book.runs(name=name, outside=RACE)]
    if not found:
        raise BadValue(f"there is nothing to export. {_nothing(book, name)}")
    return found


def _export(
    book: Record, ids: Sequence[str], exports: Sequence[tuple[Export, Path | None]]
) -> None:
    for export, place in exports:
        if place is not None:
            done = export(book, ids, place)
            say(report.exported(done))


def _with_members(book: Record, ids: Sequence[str]) -> list[str]:
    """Return the ids, and after that of a race those of its runs."""
    found: dict[str, None] = {}
    for run in map(book.find, ids):
        members = book.runs(parent=run.id) if run.kind == RACE else []
        found |= dict.fromkeys([run.id, *(each.id for each in members)])
    return list(found)


def _show(book: Record, ids: Sequence[str], limit: int) -> None:
    runs = list({run.id: run for run in map(book.find, ids)}.values())
    if len(runs) == 1 and runs[0].kind == RACE:
        members = book.runs(parent=runs[0].id)
        screen.print(report.member_listing(runs[0], members, limit))
        return
    screen.print(report.run_comparison(runs, {run.id: book.events(run.id) for run in runs}))


def _list(book: Record, name: str | None, limit: int) -> None:
    found = book.runs(name=name, outside=RACE)
    if found:
        screen.print(report.run_listing(found, limit))
    else:
        say(_nothing(book, name))


def _nothing(book: Record, name: str | None) -> str:
    if name is not None and book.runs():
        return f"No runs of {name!r} in {book.path}."
    return f"No runs in {book.path} yet. A training records them; --record FILE looks elsewhere."
