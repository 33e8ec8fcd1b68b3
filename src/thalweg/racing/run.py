"""Trains the runs of a race: side by side where the model can be stacked, else one by one."""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from thalweg import rules
from thalweg.errors import BadValue
from thalweg.optim import Optimizer
from thalweg.racing.lanes import Lane, SideBySide
from thalweg.racing.plan import Plan, examples
from thalweg.racing.result import Epoch, Run
from thalweg.racing.sizing import lanes_at_once
from thalweg.training import Epoch as Fitted
from thalweg.training import Strategy, fit
from thalweg.training.threads import threads


@dataclass(frozen=True)
class Progress:
    """Where a race stands: run ``number`` of ``planned`` has done ``epoch`` of ``epochs``.

    ``done`` counts the epochs of all runs so far. Runs that are trained side by side go through
    their epochs together.
    """

    number: int
    planned: int
    rule: str
    lr: float
    epoch: int
    epochs: int
    done: int


Report = Callable[[Progress], None]
Numbered = tuple[int, Lane]


def execute(plan: Plan, on_progress: Report | None = None) -> Iterator[Run]:
    """Train the runs of ``plan`` and yield them in the order of its entries.

    ``on_progress`` is called when a run starts (epoch 0) and after each of its epochs. Whether runs
    are trained side by side, and how many, follows from the model and its size alone.
    """
    _warm_up()
    lanes = [_lane(rule, lr, plan.seed) for rule, lr in plan.entries()]
    told = _Told(plan, lanes, on_progress or _ignore)
    try:
        size = lanes_at_once(plan.problem, lanes, plan.batch_size)
    except BadValue:
        size = 1
    if size == 1:
        yield from (_alone(plan, number, lane, told) for number, lane in enumerate(lanes))
    else:
        yield from _side_by_side(plan, lanes, size, told)


def _lane(rule: rules.Rule, lr: float, seed: int) -> Lane:
    settings = dict(Optimizer([torch.zeros(1, requires_grad=True)], rule, lr=lr).param_groups[0])
    return Lane(rule, {name: settings[name] for name in rule.hyperparameters}, seed)


def _ignore(place: Progress) -> None:
    """Report to nobody."""


@rules.rule("Warm-up")
def _still(g, *, lr=0.0):
    """Step nowhere."""
    return lr * g


def _warm_up() -> None:
    """Take a step that belongs to no rule, so that no rule pays for loading the compiler."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.sum().backward()
    Optimizer([parameter], _still).step()


class _Told:
    """Tells how far the runs are."""

    def __init__(self, plan: Plan, lanes: list[Lane], report: Report) -> None:
        self.plan, self.lanes, self.report, self.done = plan, lanes, report, 0

    def __call__(self, number: int, epoch: int) -> None:
        """Tell that a run, counted from 0, has done so many epochs."""
        lane, planned = self.lanes[number], len(self.lanes)
        self.done += epoch > 0
        key, lr = lane.rule.key, lane.hyper["lr"]
        self.report(Progress(number + 1, planned, key, lr, epoch, self.plan.epochs, self.done))


def _side_by_side(plan: Plan, lanes: list[Lane], size: int, told: _Told) -> Iterator[Run]:
    """Train stacks of at most so many lanes, those of one rule next to each other."""
    places = sorted(range(len(lanes)), key=lambda place: lanes[place].rule.key)
    runs: dict[int, Run] = {}
    for begin in range(0, len(places), size):
        members = places[begin : begin + size]
        found = _stack(plan, [(number, lanes[number]) for number in members], told)
        runs.update(zip(members, found, strict=True))
    yield from (runs[number] for number in range(len(lanes)))


def _stack(plan: Plan, members: list[Numbered], told: _Told) -> list[Run]:
    """Train one stack."""
    for number, _ in members:
        told(number, 0)
    curves: list[list[Epoch]] = [[] for _ in members]
    lanes = [lane for _, lane in members]
    together = SideBySide(plan.problem, lanes, plan.batch_size)
    for epochs in together.train(plan.epochs):
        for (number, _), curve, epoch in zip(members, curves, epochs, strict=True):
            if epoch:
                curve.append(epoch)
                told(number, epoch.number)
    return [
        Run(lane.rule.key, lane.hyper["lr"], tuple(curve), seconds)
        for lane, curve, seconds in zip(lanes, curves, together.seconds, strict=True)
    ]


def _alone(plan: Plan, number: int, lane: Lane, told: _Told) -> Run:
    """Train one run as `fit` does."""
    told(number, 0)
    start = time.perf_counter()
    problem = plan.problem
    with threads(problem.threads), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(lane.seed)
        model = problem.make_model(lane.seed)
        settings: dict[str, Any] = dict(lane.hyper)
        result = fit(
            model, Optimizer(model.parameters(), lane.rule, **settings), problem.loss,
            examples(problem, "train"), examples(problem, "validation"), batch=plan.batch_size,
            epochs=plan.epochs, seed=lane.seed, watch=0, strategies=[_Telling(told, number)],
        )  # fmt: skip
    curve = [
        Epoch.of(each.number, each.running_loss, each.judged, each.valid_accuracy)
        for each in result.history
    ]
    if result.diverged and not (curve and math.isinf(curve[-1].validation_loss)):
        curve.append(Epoch.of(len(curve) + 1, math.inf, math.inf, 0.0))
    return Run(lane.rule.key, lane.hyper["lr"], tuple(curve), time.perf_counter() - start)


class _Telling(Strategy):
    """Tells of every epoch."""

    def __init__(self, told: _Told, number: int) -> None:
        self.told, self.number = told, number

    def after_epoch(self, training: Any, epoch: Fitted) -> None:
        """Tell of it."""
        self.told(self.number, epoch.number)
