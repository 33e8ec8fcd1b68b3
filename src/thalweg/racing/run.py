"""One run is a plain training loop: a fresh model, a rule, a learning rate, and a curve."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from thalweg import rules
from thalweg.optim import Optimizer
from thalweg.problems import Loss, Problem
from thalweg.racing.plan import Plan, examples
from thalweg.racing.result import Epoch, Run
from thalweg.rules import Rule
from thalweg.training.threads import threads


@dataclass(frozen=True)
class Progress:
    """Where a race stands: run ``number`` of ``planned`` has done ``epoch`` of ``epochs``."""

    number: int
    planned: int
    rule: str
    lr: float
    epoch: int
    epochs: int


def execute(plan: Plan, on_progress: Callable[[Progress], None] | None = None) -> Iterator[Run]:
    """Train the runs of ``plan`` one after another, yielding each as it finishes.

    ``on_progress`` is called when a run starts (epoch 0) and after each of its epochs.
    """
    _warm_up()
    entries = plan.entries()
    for number, (rule, lr) in enumerate(entries, 1):
        place = Progress(number, len(entries), rule.key, lr, 0, plan.epochs)
        yield _run(plan, rule, place, on_progress or _ignore)


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


def _run(plan: Plan, rule: Rule, place: Progress, report: Callable[[Progress], None]) -> Run:
    report(place)
    start = time.perf_counter()
    curve = []
    with threads(plan.problem.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        for epoch in _epochs(plan, rule, place.lr):
            curve.append(epoch)
            report(replace(place, epoch=epoch.number))
    return Run(rule.key, place.lr, tuple(curve), time.perf_counter() - start)


def _epochs(plan: Plan, rule: Rule, lr: float) -> Iterator[Epoch]:
    """Yield the curve; the seed fixes the initial weights and the order of the data."""
    model = plan.problem.make_model(plan.seed)
    optimizer = Optimizer(model.parameters(), rule, lr=lr)
    order = torch.Generator().manual_seed(plan.seed)
    for number in range(1, plan.epochs + 1):
        epoch = _epoch(number, _train(plan, model, optimizer, order), plan.problem, model)
        yield epoch
        if math.isinf(epoch.validation_loss):
            return


def _train(plan: Plan, model: nn.Module, optimizer: Optimizer, order: torch.Generator) -> float:
    """Pass once over the training set and return the mean of the mini-batch losses."""
    model.train()
    inputs, targets = examples(plan.problem, "train")
    total = torch.zeros((), dtype=torch.float64)
    for batch in torch.randperm(len(targets), generator=order).split(plan.batch_size):
        optimizer.zero_grad()
        loss = _gradient(plan.problem.loss, model, inputs[batch], targets[batch])
        optimizer.step()
        total += loss.detach() * len(batch)
    return total.item() / len(targets)


def _gradient(
    loss: Loss, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    own = getattr(loss, "gradient", None)
    if own is not None:
        return own(model, inputs, targets)
    value = loss(model(inputs), targets)
    value.backward()
    return value


@torch.no_grad()
def _epoch(number: int, train_loss: float, problem: Problem, model: nn.Module) -> Epoch:
    model.eval()
    inputs, targets = examples(problem, "validation")
    output = model(inputs)
    loss = problem.loss(output, targets).item()
    if not (math.isfinite(loss) and math.isfinite(train_loss)):
        loss = train_loss = math.inf
    return Epoch(number, train_loss, loss, _accuracy(output, targets))


def _accuracy(output: torch.Tensor, targets: torch.Tensor) -> float:
    if targets.is_floating_point():
        return math.nan
    return (output.argmax(-1) == targets).double().mean().item()
