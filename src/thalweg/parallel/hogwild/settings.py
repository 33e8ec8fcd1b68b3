"""The settings that all of Hogwild's learners share are checked in one place."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue
from thalweg.parallel.hogwild.crew import Crew, processors
from thalweg.parallel.hogwild.rates import rates_of
from thalweg.parallel.hogwild.source import elementwise
from thalweg.rules import Rule, find


def checked_rule(rule: Any) -> Rule:
    """Return a rule given as it is or by name; refuse one that looks beyond one weight."""
    found = find(rule) if isinstance(rule, str) else rule
    if not isinstance(found, Rule):
        raise BadType(
            f"rule is {type(found).__name__} ({found!r}); expected a Rule, a chain, or a name "
            "such as 'adagrad'."
        )
    elementwise(found)
    return found


def check_settings(learner: Any) -> None:
    """Refuse numbers that cannot work, and a rate for a rule that has none."""
    for name in ("alpha", "back_off"):
        check_number(name, plain(getattr(learner, name)), 0.0)
    for name in ("tol", "eta0"):
        if getattr(learner, name) is not None:
            check_number(name, plain(getattr(learner, name)), 0.0)
    for name in ("max_iter", "n_iter_no_change"):
        check_count(name, plain(getattr(learner, name)))
    if learner.n_jobs is not None and learner.n_jobs != -1:
        check_count("n_jobs", plain(learner.n_jobs))
    if learner.back_off > 1:
        raise BadValue(f"back_off={learner.back_off!r}; expected at most 1, the same rate for all.")
    rule = checked_rule(learner.rule)
    if learner.eta0 is not None and "lr" not in rule.hyperparameters:
        raise BadValue(f"{rule.name} has no learning rate; leave eta0 at None.")
    rates_of(rule, learner.eta0, learner.back_off)


def crew_of(n_jobs: int | None) -> Crew:
    """Return so many threads: as many as a probe finds faster for None, all processors for -1."""
    if n_jobs is None:
        return Crew(processors())
    return Crew(processors() if n_jobs == -1 else int(n_jobs), fixed=True)


def plain(value: Any) -> Any:
    """Return a NumPy number as Python's own."""
    return value.item() if isinstance(value, np.generic) else value
