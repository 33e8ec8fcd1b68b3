"""The book of a race: its runs in a record, from which it goes on, and from which it is read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import TracebackType
from typing import Any, final

from thalweg import record
from thalweg.errors import BadFile, BadValue
from thalweg.racing.again import sources, told
from thalweg.racing.board import conclude
from thalweg.racing.plan import Plan
from thalweg.racing.protocol import follow
from thalweg.racing.result import Result, Run, Task
from thalweg.racing.run import remarks
from thalweg.racing.work import Way, way
from thalweg.racing.written import FORMAT, finished, header_as_json, header_of, run_of
from thalweg.record import Record, RunSummary

KIND = "race"
"""The kind of a race's own run, to which those of its trainings belong."""

DONE = ("finished", "diverged")
"""How a race ends that there is nothing to go on with."""

VERDICT = "verdict"
"""The event of a race that has ended: what came out, for whoever lists races."""


@final
class Ledger:
    """The runs of one race in a record; left as a context, it notes how the race ended."""

    def __init__(self, book: Record, own: record.Run, plan: Plan, how: Way) -> None:
        self.book, self.own, self.plan, self.way = book, own, plan, how
        self.sources = sources(plan)

    @property
    def id(self) -> str:
        """The id of the race."""
        return self.own.id

    def runs(self) -> list[Run]:
        """Return the trainings that are kept."""
        return list(map(run_of, self.book.members(self.id)))

    def add(self, runs: Sequence[Run]) -> None:
        """Keep all of these trainings, or none."""
        header = self.plan.header
        kept = [finished(header, run, self.sources[run.task.rule]) for run in runs]
        self.book.add(kept, self.id, header.threads)

    def end(self, result: Result) -> None:
        """Note the verdict, and that the race has ended."""
        best = result.board[0]
        told = {"best": best.name, "setting": dict(best.setting), "words": result.verdict}
        self.own.emit(VERDICT, len(result.runs), best.loss.value, told)
        self.own.end("diverged" if result.failed else "finished")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.own.__exit__(kind, error, trace)


# To begin, and to go on.


def unfinished(book: Record, problem: str) -> RunSummary | None:
    """Return the newest race on a problem that has not ended; those that run now come last."""
    found = [race for race in book.runs(KIND, problem) if race.status not in DONE]
    return max(found, key=lambda race: (race.status != "running", race.started), default=None)


def done(book: Record, plan: Plan) -> RunSummary | None:
    """Return the newest race that has ended and is the one planned, so that it need not be run."""
    wanted = json.loads(json.dumps(_terms(plan)))
    ended = [race for race in book.runs(KIND, plan.header.problem) if race.status in DONE]
    alike = [race for race in ended if all(race.hyper.get(name) == wanted[name] for name in wanted)]
    return max(alike, key=lambda race: race.started, default=None)


def enter(book: Record, plan: Plan, earlier: RunSummary | None) -> Ledger:
    """Begin to record a race, or go on with an earlier one.

    Raises BadFile where the record cannot be written, BadValue where another process writes it.
    """
    if earlier is not None:
        return Ledger(book, book.resume(earlier.id), plan, Way(**earlier.hyper["way"]))
    how, header = way(plan), plan.header
    hyper = {**_terms(plan), "way": asdict(how)}
    own = book.begin(header.problem, hyper, header.terms.seed, kind=KIND, threads=header.threads)
    return Ledger(book, own, plan, how)


def _terms(plan: Plan) -> dict[str, Any]:
    """Return what tells one race from another, as JSON can hold it."""
    return {"format": FORMAT, "header": header_as_json(plan.header), **told(plan)}


# To read.


def read(where: Record | str | os.PathLike[str], id: str) -> Result:
    """Return a race that has ended from the record alone, as it was returned when it ended.

    *where* is the record, or its path; the beginning of an id is enough. The protocol is followed
    again, with trainings that are looked up instead of done: neither the problem nor the rules are
    needed. Raises UnknownName for an id that is none, BadValue for a run that is no race or a race
    that has not ended, BadFile for one that was recorded in another form or lacks runs.
    """
    with opened(where) as book:
        race = book.find(id)
        if race.kind != KIND:
            raise BadValue(f"run {race.id} is no race, but of the kind {race.kind!r}.")
        header = header_of(race)
        known = {run.task.key: run for run in map(run_of, book.members(race.id))}
    course = follow(header, lambda tasks: [_looked_up(known, task, race) for task in tasks])
    return conclude(header, course, remarks(Way(**race.hyper["way"])))


@contextmanager
def opened(where: Record | str | os.PathLike[str]) -> Iterator[Record]:
    """Yield a record; one that is opened here is closed again."""
    if isinstance(where, Record):
        yield where
        return
    with record.open(where) as book:
        yield book


def _looked_up(known: Mapping[tuple, Run], task: Task, race: RunSummary) -> Run:
    if task.key in known:
        return known[task.key]
    if race.status not in DONE:
        raise BadValue(
            f"race {race.id} has not ended: {len(known)} of its trainings are recorded. Go on with "
            "it first: thalweg race PROBLEM --resume."
        )
    raise BadFile(
        f"race {race.id} has lost a training: no {task.phase} of {task.rule} with "
        f"{dict(task.setting)} and seed {task.seed} is in the record."
    )
