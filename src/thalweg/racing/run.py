"""Carries out a race: the protocol asks for trainings, and each is done once, or read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from thalweg.racing.board import conclude
from thalweg.racing.plan import Plan
from thalweg.racing.protocol import expected, follow
from thalweg.racing.result import Result, Run, Task
from thalweg.racing.work import Way, Work, divide, way
from thalweg.racing.workers import Hands, Here, hands


@dataclass(frozen=True)
class Progress:
    """Where a race stands, in epochs of all its trainings; more are planned when it is extended.

    ``phase`` says what the running ones are for, ``running`` how many there are side by side, and
    ``best`` is the run with the lowest value of the metric so far.
    """

    phase: str
    rules: tuple[str, ...]
    running: int
    done: int
    planned: int
    best: Run | None


Report = Callable[[Progress], None]


class Book(Protocol):
    """Where the runs of a race are kept as they finish, and in which way they are done."""

    way: Way

    def runs(self) -> list[Run]:
        """Return those kept so far."""

    def add(self, runs: Sequence[Run]) -> None:
        """Keep all of these, or none."""

    def end(self, result: Result) -> None:
        """Note what came out."""


def execute(
    plan: Plan,
    book: Book | None = None,
    on_progress: Report | None = None,
    workers: int = 1,
    ray: str | None = None,
) -> Result:
    """Carry out a race and return its result.

    What *book* has already is not done again. *on_progress* is called after every epoch. The work
    is done by so many *workers*: processes of their own if they are more than one. *ray* is the
    address of a Ray cluster that does it instead, or ``"local"`` for one on this machine.
    """
    with hands(plan, workers, ray) as doing:
        crew = Crew(plan, book, on_progress, doing)
        course = follow(plan.header, crew.train)
    result = conclude(plan.header, course, remarks(crew.way))
    if book:
        book.end(result)
    return result


def remarks(how: Way) -> list[str]:
    """Say how the trainings were done."""
    if how.size > 1:
        return [f"Trained side by side, up to {how.size} at once."]
    return ["Trained one after the other" + (f": {how.why}" if how.why else ".")]


class Crew:
    """Does the trainings that it is asked for, and keeps each of them."""

    def __init__(
        self, plan: Plan, book: Book | None, report: Report | None, hands: Hands | None = None
    ) -> None:
        self.plan, self.book, self.report = plan, book, report
        self.hands = hands or Here(plan)
        self.way = book.way if book else way(plan)
        self.known: dict[tuple, Run] = {run.task.key: run for run in book.runs()} if book else {}
        self.done, self.told, self.asked = 0, 0, 0
        self.best: Run | None = None

    def train(self, tasks: list[Task]) -> list[Run]:
        """Return the run of every task, in their order."""
        unique = {task.key: task for task in tasks}
        self.asked += len(unique)
        pieces = divide(list(unique.values()), self.way.size)
        for work in filter(self._knows, pieces):
            self._count(work)
        for work, runs in self.hands.do(
            [work for work in pieces if not self._knows(work)], self._tell
        ):
            self._keep(runs)
            self._count(work)
        return [self.known[task.key] for task in tasks]

    def _knows(self, work: Work) -> bool:
        """Whether all of a piece was done before."""
        return all(task.key in self.known for task in work.tasks)

    def _count(self, work: Work) -> None:
        """Count a piece as done, and look for the best run in it."""
        self.done += len(work.tasks) * self.plan.header.epochs - self.told
        self.told = 0
        found = [self.known[task.key] for task in work.tasks]
        metric = self.plan.header.terms.metric
        best = [*found, self.best] if self.best else found
        self.best = min(best, key=lambda run: run.value(metric))
        self._tell(work, 0)

    def _keep(self, runs: list[Run]) -> None:
        """Keep each run, unless one of the same task was there before, in this piece or another."""
        new = {run.task.key: run for run in runs if run.task.key not in self.known}
        if self.book:
            self.book.add(list(new.values()))
        self.known |= new

    def _tell(self, work: Work, more: int) -> None:
        self.done, self.told = self.done + more, self.told + more
        if self.report is None:
            return
        header = self.plan.header
        planned = max(self.asked, expected(header)) * header.epochs
        keys = tuple(sorted({task.rule for task in work.tasks}))
        self.report(
            Progress(work.tasks[0].phase, keys, len(work.tasks), self.done, planned, self.best)
        )
