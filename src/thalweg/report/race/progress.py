"""A race while it runs: a moving bar in a terminal, now and then a printed line elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from thalweg.report import numerals

if TYPE_CHECKING:
    from thalweg.racing import Progress as Place
    from thalweg.racing import Run

    Show = Callable[[Place], None]

PAUSE = 5.0
"""Seconds for which nothing is printed after a line, unless something else begins."""

NAMED = 24
"""Up to how many characters the names of rules may take; of more, only their number is told."""


@contextmanager
def follow(console: Console, metric: str = "loss") -> Iterator[Show]:
    """Yield what shows on *console* how far a race is that is decided by *metric*."""
    if not console.is_terminal:
        yield Printed(console, metric)
        return
    moved = Moved(console, metric)
    with Live(moved.drawn, console=console, transient=True):
        yield moved


class Moved:
    """A bar that moves with the epochs, and under it the best training so far."""

    def __init__(self, console: Console, metric: str) -> None:
        self.metric, self.best = metric, Text(style="dim")
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[done]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self.task = self.bar.add_task("", total=None, done="")
        self.drawn = Group(self.bar, self.best)

    def __call__(self, place: Place) -> None:
        """Show where the race stands."""
        self.best.plain = best_so_far(place.best, self.metric)
        self.bar.update(
            self.task, total=place.planned, completed=place.done, done=done(place),
            description=running(place),
        )  # fmt: skip


class Printed:
    """Prints where a race stands when another phase of it begins, and then every few seconds."""

    def __init__(
        self, console: Console, metric: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.console, self.metric, self.clock = console, metric, clock
        self.phase, self.last = "", -math.inf

    def __call__(self, place: Place) -> None:
        """Print it, unless that was done a moment ago."""
        now = self.clock()
        if phase(place) == self.phase and now - self.last < PAUSE:
            return
        self.phase, self.last = phase(place), now
        parts = (running(place), done(place), best_so_far(place.best, self.metric))
        line = "; ".join(filter(None, parts))
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)


def phase(place: Place) -> str:
    """Say what the running trainings are for."""
    return "Trials" if place.phase.endswith("trial") else "Fresh seeds"


def running(place: Place) -> str:
    """Say what the running trainings are for, and which they are."""
    rules = ", ".join(place.rules)
    if len(place.rules) > 1 and len(rules) > NAMED:
        rules = numerals.count(len(place.rules), "rule")
    beside = f", {place.running} side by side" if place.running > 1 else ""
    return f"{phase(place)}: {rules}{beside}"


def done(place: Place) -> str:
    """Say how many epochs of all trainings are done."""
    return f"{place.done:,} of {place.planned:,} epochs"


def best_so_far(best: Run | None, metric: str) -> str:
    """Say which training has the lowest value yet; nothing before the first has ended."""
    if best is None:
        return ""
    if best.failed:
        return "every run diverged so far"
    rates = [f" {name} {numerals.rate(value)}" for name, value in best.task.setting.items()]
    value = (numerals.share if metric == "error" else numerals.loss)(best.value(metric))
    return f"best so far: {best.task.rule}{','.join(rates)}, validation {metric} {value}"
