"""Races without a training: headers made by hand, and losses that are a function of the task."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from thalweg.racing.result import FINAL, Epoch, Header, Run, Task, Terms
from thalweg.racing.space import spaces
from thalweg.rules import Rule, find

Loss = Callable[[Task], float | Sequence[float]]


def header(*rules: str | Rule, epochs: int = 4, updates: int = 10, **terms) -> Header:
    """Return the header of a race of these rules; the reference takes part as in a plan."""
    agreed = Terms(**terms)
    racing = [find(each) if isinstance(each, str) else each for each in rules]
    known = {each.key: each for each in racing}
    if agreed.reference is not None and agreed.target is None and agreed.reference not in known:
        known[agreed.reference] = find(agreed.reference)
    return Header(
        problem="fabricated", description="", digest="", rules=tuple(each.key for each in racing),
        names={key: each.name for key, each in known.items()}, terms=agreed, epochs=epochs,
        batch_size=8, updates=updates, tested=False, spaces=spaces(known.values(), agreed.search),
        threads=1, versions={},
    )  # fmt: skip


def run(task: Task, losses: float | Sequence[float]) -> Run:
    """Return the run that ends so: one loss, or those of its epochs; an infinite one ends it."""
    values = [losses] if isinstance(losses, (int, float)) else list(losses)
    curve = [Epoch.of(k + 1, value, value, 0.5) for k, value in enumerate(values)]
    return Run(task, tuple(curve), seconds=1.0)


def valley(best: float, worse: float = 1.0) -> Loss:
    """Return the loss whose lowest value lies at that learning rate, by decades; defaults at 7."""

    def loss(task: Task) -> float:
        if "lr" not in task.setting:
            return 7.0
        return worse * abs(math.log10(task.setting["lr"] / best)) + 1e-3 * (task.phase == FINAL)

    return loss


class Trainer:
    """Does what a race asks for by a function of the task, and remembers what it was asked."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.calls: list[list[Task]] = []

    def __call__(self, tasks: list[Task]) -> list[Run]:
        """Return the run of each task."""
        self.calls.append(tasks)
        return [run(task, self.loss(task)) for task in tasks]

    def asked(self, rule: str, *phases: str) -> list[Task]:
        """Return the tasks of a rule in these phases, in the order they were asked for."""
        return [
            task
            for call in self.calls
            for task in call
            if task.rule == rule and task.phase in phases
        ]
