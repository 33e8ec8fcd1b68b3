"""A race: every rule on the same problem, from the same start, with the same number of trials."""

from collections.abc import Callable, Iterable

from thalweg.problems import Problem
from thalweg.racing.board import conclude
from thalweg.racing.plan import Plan, prepare
from thalweg.racing.result import Epoch, Header, Result, Row, Run
from thalweg.racing.run import Progress, execute
from thalweg.rules import Rule

__all__ = [
    "Epoch",
    "Header",
    "Plan",
    "Progress",
    "Result",
    "Row",
    "Run",
    "conclude",
    "execute",
    "prepare",
    "race",
]


def race(
    problem: str | Problem,
    rules: Iterable[str | Rule] | None = None,
    *,
    trials: int = 4,
    seed: int = 0,
    epochs: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Train every rule ``trials`` times and return all runs and the best of each rule.

    ``rules`` are names or Rule objects, all of the catalogue by default. Each rule tries ``trials``
    learning rates spread evenly (in logarithm) over its own search range; one trial means its
    default. ``epochs`` is the problem's own number unless given. ``on_progress`` is called when a
    run starts and after each of its epochs.

    The best run of a rule is the one with the lowest validation loss after the last epoch; the test
    set is not touched. It is one seed: a small difference says nothing. Raises UnknownName for an
    unknown rule or problem, BadValue for numbers out of range, BadFile for missing data.
    """
    plan = prepare(problem, rules, trials=trials, seed=seed, epochs=epochs)
    return conclude(plan, execute(plan, on_progress))
