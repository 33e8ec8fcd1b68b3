"""A race while it runs: one moving line in a terminal, one printed line for each run elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from thalweg.report import numerals

if TYPE_CHECKING:
    from thalweg.racing import Progress as Place
    from thalweg.racing import Run

OnPlace = Callable[["Place"], None]
OnRun = Callable[["Run"], None]


@contextmanager
def follow(console: Console) -> Iterator[tuple[OnPlace, OnRun]]:
    """Yield two callbacks, for each step of a race and for each finished run, that show it."""
    if console.is_terminal:
        with _bar(console) as bar:
            yield _mover(bar), lambda run: None
    else:
        yield lambda place: None, _printer(console)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[run]}"),
        BarColumn(bar_width=None),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _mover(bar: Progress) -> OnPlace:
    task = bar.add_task("", total=None, run="")

    def move(place: Place) -> None:
        bar.update(
            task,
            total=place.planned * place.epochs,
            completed=place.done,
            run=f"run {place.number} of {place.planned}",
            description=f"{place.rule:<9} lr {numerals.rate(place.lr):<8}",
        )

    return move


def _printer(console: Console) -> OnRun:
    def show(run: Run) -> None:
        lr, loss = numerals.rate(run.lr), numerals.loss(run.loss)
        line = f"{run.rule:<9} lr {lr:<8} validation loss {loss:<9} {numerals.seconds(run.seconds)}"
        console.print(line, highlight=False, soft_wrap=True)

    return show
