"""A race: every rule on the same problem, from the same start, with the same number of trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from thalweg.arguments import check_count
from thalweg.errors import BadType
from thalweg.problems import Problem
from thalweg.racing.board import conclude
from thalweg.racing.contest import Contest, for_several
from thalweg.racing.plan import Plan, prepare
from thalweg.racing.result import Epoch, Header, Result, Row, Run, Task, Terms
from thalweg.racing.run import Progress, Report, execute
from thalweg.rules import Rule

__all__ = [
    "Contest", "Epoch", "Header", "Plan", "Progress", "Result", "Row", "Run", "Task", "Terms",
    "conclude", "execute", "prepare", "race",
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
    on_progress: Report | None = None,
) -> Result:
    """Find out which rule suits a problem, and at which learning rate.

    ``problem`` is a name, the path of a problem file, or a Problem; `thalweg.problems.define` makes
    one of a model function and loaders or tensors. For a list of them, each is raced on, and a
    Contest is returned. ``rules`` are names or Rule objects, all of the catalogue by default. The
    other arguments are those of Terms; ``memory`` is the number of bytes that trainings side by
    side may take, and ``workers`` that of the processes that do the work, on which no result
    depends. ``on_progress`` is called after every epoch, by workers after every piece of work.
    Result has ``.verdict``, ``.board`` and ``.runs``.

    Settings are chosen on the validation set; the test set is looked at once, after the final
    runs. Raises UnknownName, BadValue, BadType or BadFile before anything is trained.
    """
    if isinstance(search, str):
        raise BadType(f"search should be a list of names, got {search!r}: write [{search!r}].")
    terms = Terms(
        trials, seeds, epochs, seed, schedule, sampler, tuple(search), metric, reference, target
    )
    check_count("workers", workers)
    plan = prepare(problem, rules, terms, memory)
    return execute(plan, on_progress=on_progress, workers=workers)
