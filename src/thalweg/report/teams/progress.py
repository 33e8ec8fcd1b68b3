"""A training with several workers while it runs: a moving view in a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from thalweg.report import numerals
from thalweg.report.teams import words
from thalweg.report.teams.staleness import drawn, middle

if TYPE_CHECKING:
    from thalweg.parallel import Listener, Moment, Point

    Clock = Callable[[], float]

PAUSE = 0.1
"""Seconds between two pictures of the view."""

RECENT = 50
"""Pictures over which the speed is measured: the last five seconds."""

SHOWN = 8
"""How many workers have a bar of their own; of more, the rest are told on one line."""

SMOOTH = 0.05
"""The weight of a batch in the loss that is shown."""


@contextmanager
def follow_teams(console: Console) -> Iterator[Listener]:
    """Yield a listener that shows on *console* how trainings with several workers go."""
    if not console.is_terminal:
        yield Printed(console)
        return
    with Live(console=console, transient=True, refresh_per_second=1 / PAUSE) as live:
        yield Moved(live.update)


class Printed:
    """Prints where a training stands at the end of each epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def begins(self, workers: int, gradients: int, epochs: int, unit: str) -> None:
        """Note who begins."""
        self.workers, self.unit = workers, unit
        self.each, self.epochs = gradients // epochs, epochs

    def hears(self, moment: Moment) -> None:
        """Say nothing of a single gradient."""

    def sees(self, point: Point) -> None:
        """Print the loss, where an epoch has ended."""
        epoch, over = divmod(point.gradients, self.each)
        if over == 0:
            line = (
                f"{numerals.count(self.workers, 'worker')}, epoch {epoch} of {self.epochs}: "
                f"{point.examples:,} examples in {words.time(point.time, self.unit)}, "
                f"loss {words.judged(point)}"
            )
            self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def ends(self) -> None:
        """Say nothing: the epochs were told."""


class Moved:
    """Shows speed, loss, lateness, mishaps and what each worker has done; *draw* puts it up.

    What is drawn is made of plain text when something is heard, because another thread draws it.
    """

    def __init__(
        self, draw: Callable[[RenderableType], None], clock: Clock = time.monotonic
    ) -> None:
        self.draw, self.clock = draw, clock

    def begins(self, workers: int, gradients: int, epochs: int, unit: str) -> None:
        """Say who begins; processes take a while."""
        self.workers, self.gradients, self.unit = workers, gradients, unit
        self.point: Point | None = None
        self.loss = 0.0
        self.last = self.clock()
        self.seen: deque[tuple[float, int, int]] = deque(maxlen=RECENT)
        self.draw(Text(f"Starting {numerals.count(workers, 'worker')}"))

    def hears(self, moment: Moment) -> None:
        """Take the loss of a batch, and show where the training stands, ten times a second."""
        self.loss += max(SMOOTH, 1 / moment.gradients) * (moment.loss - self.loss)
        now = self.clock()
        if moment.gradients == 1 or now - self.last >= PAUSE:
            self.last = now
            self.seen.append((now, moment.gradients, moment.examples))
            self.draw(self.drawn(moment))

    def sees(self, point: Point) -> None:
        """Keep how the parameters were judged last."""
        self.point = point

    def ends(self) -> None:
        """Take the view away."""
        self.draw(Text())

    def drawn(self, moment: Moment) -> RenderableType:
        """Return the view as it stands."""
        return Group(
            self._progress(moment),
            *(Text(line, no_wrap=True, overflow="ellipsis") for line in self._lines(moment)),
            self._crew(moment),
        )

    def _progress(self, moment: Moment) -> Table:
        done = f"{moment.gradients:,} of {self.gradients:,} gradients"
        row = Table.grid(padding=(0, 1, 0, 0), expand=True)
        for _ in range(2):
            row.add_column(no_wrap=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True, justify="right")
        bar = ProgressBar(total=self.gradients, completed=moment.gradients)
        row.add_row(numerals.count(self.workers, "worker"), done, bar, self._left(moment))
        return row

    def _left(self, moment: Moment) -> str:
        """Say how long the rest will take, at the speed of the last seconds."""
        gradients, _ = self._speeds()
        if not gradients:
            return "-:--:-- left"
        minutes, seconds = divmod(round((self.gradients - moment.gradients) / gradients), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"

    def _speeds(self) -> tuple[float, float]:
        """Return gradients and examples a second of this machine's clock; zero at first."""
        (begun, *before), (now, *after) = self.seen[0], self.seen[-1]
        if now <= begun:
            return 0.0, 0.0
        gradients, examples = ((b - a) / (now - begun) for a, b in zip(before, after, strict=True))
        return gradients, examples

    def _lines(self, moment: Moment) -> Iterator[str]:
        _, examples = self._speeds()
        judged = "" if self.point is None else f", at the last look {words.judged(self.point)}"
        clock = "" if self.unit == "seconds" else f", {words.time(moment.time, self.unit)}"
        yield f"loss      {numerals.loss(self.loss)} in the last batches{judged}"
        yield f"speed     {examples:,.0f} examples/s{clock}"
        late = moment.tally.staleness
        most = max(late, default=0)
        yield f"late      0 {drawn(late)} {most} updates, half of them at most {middle(late)}"
        yield f"pushes    {mishaps(moment)}"

    def _crew(self, moment: Moment) -> Table:
        """Return a bar for each worker, or for the first of them."""
        measured = moment.tally.measured
        share = max(-(-self.gradients // self.workers), max(measured.values()))
        rows = Table.grid(padding=(0, 1, 0, 0))
        for rank in range(min(self.workers, SHOWN)):
            bar = ProgressBar(total=share, completed=measured[rank], width=24)
            rows.add_row(f"worker {rank}", bar, f"{measured[rank]:,} gradients")
        rest = [measured[rank] for rank in range(SHOWN, self.workers)]
        if rest:
            few = numerals.count(len(rest), "other")
            rows.add_row(few, "", f"{min(rest):,} to {max(rest):,} gradients each")
        return rows


def mishaps(moment: Moment) -> str:
    """Say what became of pushes so far, and what went wrong."""
    tally = moment.tally
    counts = {"restarts": tally.restarts + tally.restored, "resent": tally.resent}
    others = "".join(f", {name} {count:,}" for name, count in counts.items() if count)
    return f"applied {tally.applied:,}, refused {tally.refused:,}, lost {tally.lost:,}{others}"
