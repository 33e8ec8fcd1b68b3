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
from thalweg.racing.lanes import Lane, SideBySide
from thalweg.racing.plan import Plan
from thalweg.racing.result import FINAL, Epoch, Run, Task
from thalweg.racing.sizing import MEMORY, lanes_at_once
from thalweg.racing.tensors import tensors
from thalweg.schedules.spread import spread
from thalweg.training import Epoch as Fitted
from thalweg.training import Result, Strategy
from thalweg.training.data.batches import as_batches
from thalweg.training.data.forms import as_data
from thalweg.training.evaluation import Evaluation, evaluate
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
        if plan.problem.test is not None:
            tensors(plan.problem.test, "test")
        size = lanes_at_once(plan.problem, many, plan.header.batch_size, plan.memory or MEMORY)
        return Way(size)
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
    """Train one stack; final runs are tested at its end."""
    curves: list[list[Epoch]] = [[] for _ in tasks]
    lanes = [lane(plan, task) for task in tasks]
    together = SideBySide(plan.problem, lanes, plan.header.batch_size)
    for epochs in together.train(plan.header.epochs):
        for curve, epoch in zip(curves, epochs, strict=True):
            if epoch:
                curve.append(epoch)
        tell(len(tasks))
    parts = zip(tasks, curves, together.seconds, _tests(plan, tasks, together), strict=True)
    return [Run(task, tuple(curve), seconds, *test) for task, curve, seconds, test in parts]


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


Tested = tuple[float | None, float | None]
"""Loss and accuracy on the test set; None where it was not looked at."""


def _tests(plan: Plan, tasks: Sequence[Task], together: SideBySide) -> list[Tested]:
    """Test the final ones of trainings that were done together."""
    if not any(_is_tested(plan, task) for task in tasks):
        return [(None, None)] * len(tasks)
    found = together.judged(plan.problem.test)
    return [
        _outcome(each) if _is_tested(plan, task) else (None, None)
        for task, each in zip(tasks, found, strict=True)
    ]


def _tested(plan: Plan, task: Task, model: torch.nn.Module) -> Tested:
    """Test a final run."""
    if not _is_tested(plan, task):
        return None, None
    return _outcome(evaluate(model, plan.problem.loss, plan.problem.test))


def _is_tested(plan: Plan, task: Task) -> bool:
    return task.phase == FINAL and plan.problem.test is not None


def _outcome(found: Evaluation | None) -> Tested:
    """Return what was found; the loss of a run that diverged is infinite."""
    if found is None or not math.isfinite(found.loss):
        return math.inf, None
    return found.loss, found.accuracy


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
