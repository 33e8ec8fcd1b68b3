"""A piece of work: trainings that are done together, described plainly and done by one function.

What is done together, and how, follows from the plan alone, never from how long anything took. So
a race can be repeated, and a piece can be done by another process or on another machine.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from thalweg import rules
from thalweg.errors import BadValue
from thalweg.optim import Optimizer
from thalweg.racing.beginning import beginning
from thalweg.racing.lanes import Lane, lanes_at_once, train_together
from thalweg.racing.plan import Plan
from thalweg.racing.result import FINAL, Epoch, Run, Task
from thalweg.schedules.spread import spread
from thalweg.training import Epoch as Fitted
from thalweg.training import Result, Strategy
from thalweg.training.data.batches import as_batches
from thalweg.training.data.forms import as_data
from thalweg.training.evaluation import evaluate
from thalweg.training.loop import Loop
from thalweg.training.threads import threads
from thalweg.training.training import Training

Tell = Callable[[int], None]
"""Called with how many epochs of trainings are newly done."""


@dataclass(frozen=True)
class Work:
    """Trainings that are done together: side by side, or a single one as `fit` does it."""

    tasks: tuple[Task, ...]

    @property
    def stacked(self) -> bool:
        """Whether they are done side by side."""
        return len(self.tasks) > 1


@dataclass(frozen=True)
class Way:
    """How many trainings of a problem stand side by side; *why* none do, where none can."""

    size: int
    why: str = ""


def way(plan: Plan) -> Way:
    """Return how the trainings of a race are done, from the model, its shapes and the memory."""
    some = [lane(plan, Task("", rule, {}, 0)) for rule in plan.rules]
    many = [some[k % len(some)] for k in range(MANY)]
    try:
        return Way(lanes_at_once(plan.problem, many, plan.header.batch_size))
    except BadValue as error:
        return Way(1, str(error))


MANY = 1000
"""More lanes than any stack has."""


def divide(tasks: Sequence[Task], size: int) -> list[Work]:
    """Divide trainings into pieces of about equal size, those of one rule next to each other."""
    if size == 1:
        return [Work((task,)) for task in tasks]
    ordered = sorted(tasks, key=lambda task: task.rule)
    pieces = -(-len(ordered) // size)
    ends = [len(ordered) * piece // pieces for piece in range(pieces + 1)]
    return [Work(tuple(ordered[a:b])) for a, b in pairwise(ends)]


def perform(plan: Plan, work: Work, tell: Tell) -> list[Run]:
    """Do a piece of work and return its runs, in the order of its tasks."""
    if work.stacked:
        return _together(plan, work.tasks, tell)
    return [_alone(plan, task, tell) for task in work.tasks]


def lane(plan: Plan, task: Task) -> Lane:
    """Return the rule of a task with all its hyperparameters; lr may be a schedule."""
    rule, header = plan.rules[task.rule], plan.header
    hyper = rule.settings(**task.setting)
    if header.terms.schedule != "constant":
        updates = header.epochs * header.updates
        hyper["lr"] = spread(header.terms.schedule, hyper["lr"], updates)
    return Lane(rule, hyper, task.seed)


def _together(plan: Plan, tasks: Sequence[Task], tell: Tell) -> list[Run]:
    """Train one stack; each of its runs is said to have taken an equal share of the time."""
    start = time.perf_counter()
    curves: list[list[Epoch]] = [[] for _ in tasks]
    lanes = [lane(plan, task) for task in tasks]
    header = plan.header
    with threads(plan.problem.threads):
        for epochs in train_together(plan.problem, lanes, header.epochs, header.batch_size):
            for curve, epoch in zip(curves, epochs, strict=True):
                if not (curve and math.isinf(curve[-1].validation_loss)):
                    curve.append(epoch)
            tell(len(tasks))
    share = (time.perf_counter() - start) / len(tasks)
    return [Run(task, tuple(curve), share) for task, curve in zip(tasks, curves, strict=True)]


def _alone(plan: Plan, task: Task, tell: Tell) -> Run:
    """Train one run by the loop of `fit`, on data that the plan has checked for all runs."""
    start = time.perf_counter()
    problem, each, header = plan.problem, lane(plan, task), plan.header
    with (
        threads(problem.threads),
        beginning(task.seed, problem.train, problem.validation, problem.test),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        model = problem.make_model(task.seed)
        optimizer = Optimizer(model.parameters(), each.rule, **dict[str, Any](each.hyper))
        train, validation = as_data(problem.train), as_data(problem.validation)
        batches = as_batches(train, header.batch_size, None, task.seed, accumulate=1)
        training = Training(
            model, optimizer, problem.loss, batches, validation, [_Telling(tell)], {}
        )
        result = Loop(training, None, None, None).run(header.epochs)
        tested = _tested(plan, task, model)
    return Run(task, _curve(result), time.perf_counter() - start, *tested)


def _curve(result: Result) -> tuple[Epoch, ...]:
    """Return what was measured after each epoch; a training that diverged ends with a failure."""
    curve = [
        Epoch.of(each.number, each.running_loss, each.judged, each.valid_accuracy)
        for each in result.history
    ]
    if result.diverged and not (curve and math.isinf(curve[-1].validation_loss)):
        curve.append(Epoch.of(len(curve) + 1, math.inf, math.inf, 0.0))
    return tuple(curve)


def _tested(plan: Plan, task: Task, model: torch.nn.Module) -> tuple[float | None, float | None]:
    """Return loss and accuracy on the test set, after a final run; a failure is infinite."""
    if task.phase != FINAL or plan.problem.test is None:
        return None, None
    found = evaluate(model, plan.problem.loss, plan.problem.test)
    return found.loss if math.isfinite(found.loss) else math.inf, found.accuracy


class _Telling(Strategy):
    """Tells of every epoch."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell

    def after_epoch(self, training: Any, epoch: Fitted) -> None:
        """Tell of it."""
        self.tell(1)


@rules.rule("Warm-up")
def _still(g, *, lr=0.0):
    """Step nowhere."""
    return lr * g


def warm_up() -> None:
    """Take a step that belongs to no rule, so that no rule pays for loading the compiler."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.sum().backward()
    Optimizer([parameter], _still).step()
