"""A training while it runs: one moving line in a terminal, one printed line an epoch elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from thalweg.report import numerals
from thalweg.report.study import words

if TYPE_CHECKING:
    from thalweg.training import Settings, Trained


@contextmanager
def follow_training(console: Console) -> Iterator[Shown]:
    """Yield a listener that shows on *console* what trainings tell."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        yield Shown(bar)


class Shown:
    """Moves a bar with the running loss, or prints the epochs where nothing can move."""

    def __init__(self, bar: Progress) -> None:
        self.bar, self.console = bar, bar.console
        self.name, self.epochs, self.done = "", 1, 0

    def begins(self, settings: Settings, updates: int | None) -> None:
        """Start a bar."""
        self.name = f"{settings.rule} lr {numerals.rate(settings.lrs[0])}"
        self.epochs, self.done = settings.epochs or 1, 0
        self.task = self.bar.add_task(self.name, total=updates and updates * self.epochs, speed="")

    @property
    def began(self) -> bool:
        """Whether any run has begun."""
        return bool(self.name)

    def hears(self, name: str, step: int, value: float | None, data: Any) -> None:
        """Show an epoch, or how far the updates are."""
        if name == "epoch":
            self.done = step
            self._print(f"{self.name}  {words.epoch_line(data)}")
        elif name == "loss":
            self._move(step, value)

    def _move(self, update: int, loss: float | None) -> None:
        epoch = min(self.done + 1, self.epochs)
        self.bar.update(
            self.task,
            completed=update,
            description=f"{self.name}  epoch {epoch}/{self.epochs}  loss {numerals.loss(loss)}",
            speed=self._speed(),
        )

    def _speed(self) -> str:
        speed = self.bar.tasks[0].speed
        return f"{speed:,.0f} updates/s" if speed else ""

    def ends(self, trained: Trained) -> None:
        """Take the bar away."""
        for task in self.bar.task_ids:
            self.bar.remove_task(task)

    def remarks(self, text: str) -> None:
        """Print a sentence."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _print(self, text: str) -> None:
        if not self.console.is_terminal:
            self.remarks(text)
