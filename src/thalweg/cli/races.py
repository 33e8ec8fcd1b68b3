"""`thalweg races`: past races, and any of them shown again from the record alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thalweg import record, report
from thalweg.cli.app import RecordPlace, app, notices, say, screen, whole
from thalweg.cli.places import check_distinct, check_there
from thalweg.cli.runs import RACE
from thalweg.record import Record


@app.command("races")
def show_races(
    id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The beginning of an id is enough.")
    ] = None,
    place: RecordPlace = None,
    limit: Annotated[
        int, typer.Option(metavar="N", parser=whole(1), help="Races in the list, newest first.")
    ] = 20,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the page of a race; an old file is replaced."),
    ] = None,
) -> None:
    """List recorded races, or show one again: its table, and its page with --out.

    Nothing is trained: board and verdict are worked out anew from the record.
    """
    check_there(place)
    if out is not None:
        if id is None:
            raise typer.BadParameter("--out writes the page of one race; give its ID.")
        check_distinct({"--record": record.open(place).path, "--out": report.check_page(out)})
    with record.open(place) as book:
        if id is None:
            _list(book, limit)
        else:
            _show(book, id, out)


def _list(book: Record, limit: int) -> None:
    found = book.runs(RACE)
    if found:
        screen.print(report.race_listing(found, limit))
    else:
        say(f"No races in {book.path} yet. `thalweg race` records them; --record looks elsewhere.")


def _show(book: Record, id: str, out: Path | None) -> None:
    book.find(id)
    with notices.status("Reading the race"):
        from thalweg.racing import read

        result = read(book, id)
    screen.print(report.summary(result))
    if out is not None:
        say(f"Page: {report.page(result, out)}")
