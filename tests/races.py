"""Races whose protocol is the real one and whose trainings are a formula, so that they are quick.

A rule's loss is lowest at one place of its search space, differs from seed to seed, and falls from
epoch to epoch. Rules stand in the order in which they are named, each a little worse than the last.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.racing import Epoch, Header, Result, Run, Task, Terms, conclude
from thalweg.racing.protocol import follow
from thalweg.racing.result import FINAL
from thalweg.racing.space import Space, spaces
from thalweg.rules import catalogue

VERSIONS = {"thalweg": "0.1.0", "torch": "2.9"}


def raced(
    *rules: str,
    failing: Sequence[tuple[str, int]] = (),
    worse: Mapping[str, float] | None = None,
    classes: bool = True,
    tested: bool = True,
    seconds: float = 0.25,
    best: float = 0.5,
    header: Mapping[str, Any] | None = None,
    **terms: Any,
) -> Result:
    """Return the result of a race of *rules*, for whose terms see Terms.

    *failing* are rules with a seed at which they diverge after an epoch, *worse* has factors for
    the losses of some, and *best* is where in its search space a rule is best, from 0 to 1.
    """
    agreed = Terms(**{"trials": 4, "seeds": 6, "reference": None, **terms})
    known = _header(rules, agreed, tested, header or {})

    def train(tasks: list[Task]) -> list[Run]:
        return [one(task) for task in tasks]

    def one(task: Task) -> Run:
        last = (worse or {}).get(task.rule, 1.0) * _loss(known.spaces[task.rule], task, rules, best)
        fails = (task.rule, task.seed) in failing
        curve = _curve(last, known.epochs, classes, fails)
        looked = task.phase == FINAL and tested
        loss = curve[-1].validation_loss * 1.1 if looked else None
        return Run(task, curve, seconds, loss, 0.9 if looked and classes else None)

    return conclude(known, follow(known, train), ["Trained by a formula."])


def _header(rules: Sequence[str], terms: Terms, tested: bool, more: Mapping[str, Any]) -> Header:
    keys = dict.fromkeys([*rules, *([terms.reference] if terms.reference else [])])
    racing = [catalogue[key] for key in keys]
    fields: dict[str, Any] = {
        "problem": "digits",
        "description": "Handwritten digits",
        "digest": "",
        "rules": tuple(rules),
        "names": {rule.key: rule.name for rule in racing},
        "terms": terms,
        "epochs": terms.epochs or 5,
        "batch_size": 32,
        "updates": 7,
        "tested": tested,
        "spaces": spaces(racing, terms.search),
        "threads": 1,
        "versions": VERSIONS,
    }
    return Header(**{**fields, **more})


def _loss(space: Space, task: Task, rules: Sequence[str], best: float) -> float:
    place = rules.index(task.rule) if task.rule in rules else 0
    away = space.axes[0].unit(task.setting["lr"]) - best if task.setting else 0.1
    return 0.1 * (1 + 0.2 * place) * (1 + 20 * away**2) * (1 + 0.05 * math.sin(9.0 * task.seed))


def _curve(last: float, epochs: int, classes: bool, fails: bool) -> tuple[Epoch, ...]:
    losses = [last * (1 + (epochs - number) / 2) for number in range(1, epochs + 1)]
    if fails:
        losses = [*losses[:-1][:1], math.inf]
    return tuple(
        Epoch.of(number, loss, loss, max(1 - loss, 0.0) if classes else None)
        for number, loss in enumerate(losses, 1)
    )
