"""A race: every rule on the same problem, from the same start, with the same number of trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from os import PathLike
from typing import Any

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.problems import Problem
from thalweg.racing.again import settle
from thalweg.racing.board import conclude
from thalweg.racing.book import Ledger, done, enter, opened, read, unfinished
from thalweg.racing.contest import Contest, check_targets, for_several
from thalweg.racing.plan import Plan, load, prepare
from thalweg.racing.result import Epoch, Header, Result, Row, Run, Task, Terms
from thalweg.racing.run import Progress, Report, execute
from thalweg.record import Record
from thalweg.rules import Rule

__all__ = [
    "Contest", "Epoch", "Header", "Ledger", "Plan", "Progress", "Result", "Row", "Run", "Task",
    "Terms", "check_targets", "conclude", "done", "enter", "execute", "prepare", "race", "read",
    "settle", "unfinished",
]  # fmt: skip


@for_several
def race(
    problem: str | Problem,
    rules: Iterable[str | Rule] | None = None,
    *,
    trials: int = 16,
    seeds: int = 10,
    epochs: int | None = None,
    seed: int = 0,
    schedule: str = "constant",
    sampler: str = "sobol",
    search: Sequence[str] = ("lr",),
    metric: str = "loss",
    reference: str | None = "adamw",
    target: float | None = None,
    memory: int | None = None,
    workers: int = 1,
    ray: str | None = None,
    record: Record | str | PathLike[str] | None = None,
    resume: bool = False,
    on_progress: Report | None = None,
) -> Result:
    """Find out which rule suits a problem, and at which learning rate.

    ``problem`` is a name, the path of a problem file, or a Problem; `thalweg.problems.define` makes
    one of a model function and loaders or tensors. For a list of them, each is raced on, and a
    Contest is returned. ``rules`` are names or Rule objects, all of the catalogue by default
    but those of late gradients. The other arguments are those of Terms; ``memory`` is the number of
    bytes that trainings side by side may take, and ``workers`` that of the processes that do the
    work. ``ray`` is the address of a Ray cluster that does it instead, or ``"local"`` for one on
    this machine. No result depends on either. ``on_progress`` is called after every epoch, by
    workers after every piece of work.
    Result has ``.verdict``, ``.board`` and ``.runs``.

    Nothing is recorded unless ``record`` is given, a record or the path of one. There every
    training is kept as soon as the piece of work it belongs to is done. With ``resume`` the newest
    race on this problem that has not ended goes on, under the terms it was begun with; what is
    asked for beside the defaults must agree with them. Where there is none, the same race is read
    back if it has ended, else begun.
    `thalweg.racing.read` returns a recorded race again.

    Settings are chosen on the validation set; the test set is looked at once, after the final
    runs. Raises UnknownName, BadValue, BadType or BadFile before anything is trained.
    """
    if isinstance(search, str):
        raise BadType(f"search should be a list of names, got {search!r}: write [{search!r}].")
    terms = Terms(
        trials, seeds, epochs, seed, schedule, sampler, tuple(search), metric, reference, target
    )
    check_count("workers", workers)
    if record is None:
        _check_no_resume(resume)
        plan = prepare(problem, rules, terms, memory)
        return execute(plan, on_progress=on_progress, workers=workers, ray=ray)
    asked = {**_beside_defaults(terms), **({} if memory is None else {"memory": memory})}
    loaded = load(problem)
    with opened(record) as book:
        earlier = unfinished(book, loaded.name) if resume else None
        plan = settle(earlier, loaded, rules, asked)
        ended = done(book, plan) if resume and earlier is None else None
        if ended is not None:
            return read(book, ended.id)
        with enter(book, plan, earlier) as ledger:
            return execute(ledger.plan, ledger, on_progress, workers, ray)


def _check_no_resume(resume: bool) -> None:
    if resume:
        raise BadValue("resume=True, but no record to resume from: give record='thalweg.db'.")


def _beside_defaults(terms: Terms) -> dict[str, Any]:
    """Return the terms that are not the default."""
    default = Terms()
    every = {field.name: getattr(terms, field.name) for field in fields(Terms)}
    return {name: value for name, value in every.items() if value != getattr(default, name)}
