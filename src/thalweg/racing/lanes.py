"""Lanes: trainings of one problem that differ in rule, settings or seed, trained side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from thalweg.errors import BadValue
from thalweg.kernels.lanes import Lanes
from thalweg.problems import Problem, own_gradient
from thalweg.racing.result import Epoch
from thalweg.racing.stack import Stack, without_fallback
from thalweg.racing.tensors import examples
from thalweg.rules import Rule
from thalweg.training.data.order import Shuffled, generator_of
from thalweg.training.evaluation import right_answers


@dataclass(frozen=True)
class Lane:
    """One training: a rule with all its hyperparameters, and the seed of weights and data order."""

    rule: Rule
    hyper: Mapping[str, float]
    seed: int


def train_together(
    problem: Problem, lanes: Sequence[Lane], epochs: int, batch: int
) -> Iterator[list[Epoch]]:
    """Train all *lanes* at once and yield, after each epoch, where every one of them stands.

    Each does what `fit` does for it alone, with the same weights and the same order of the data;
    products of stacked matrices may round otherwise in the last place. A lane whose loss is no
    longer finite goes on without meaning and disturbs no other. Lanes of one rule stand together.
    `lanes_at_once` tells whether the model can be stacked at all.
    """
    stack = _stack(problem, lanes)
    updates = _updates(stack, lanes)
    inputs, targets = examples(problem, "train")
    for epoch in range(epochs):
        total = torch.zeros(len(lanes), dtype=torch.float64)
        for chosen in _orders(lanes, len(targets), epoch).split(batch, dim=1):
            losses, gradients = stack.gradients(inputs[chosen], targets[chosen])
            for update, part in updates:
                update.step([each[part] for each in gradients.values()])
            total += losses.double() * chosen.shape[1]
        yield _judged(problem, stack, epoch + 1, total / len(targets))


def lanes_at_once(problem: Problem, lanes: Sequence[Lane], batch: int) -> int:
    """Return how many lanes a stack should have, 1 where it would be no faster than a loop.

    Raises BadValue where two models cannot be stacked.
    """
    if own_gradient(problem.loss):
        raise BadValue(f"the loss of {problem.name} writes its own gradient, for one model alone.")
    parameters = problem.make_model(lanes[0].seed).parameters()
    member = STREAMS * sum(p.nbytes for p in parameters)
    size = min(len(lanes), MEMBERS, MEMORY // max(member, 1))
    if size < FEWEST:
        return 1
    trial = _stack(problem, lanes[:size])
    inputs, targets = (part[:batch] for part in examples(problem, "train"))
    try:
        with without_fallback():
            trial.gradients(*(part.expand(size, *part.shape) for part in (inputs, targets)))
            trial.outputs(examples(problem, "validation")[0])
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BadValue(f"the model of {problem.name} cannot be stacked: {reason}") from error
    return size


_traced: WeakKeyDictionary[Problem, dict] = WeakKeyDictionary()


def _stack(problem: Problem, lanes: Sequence[Lane]) -> Stack:
    models = [problem.make_model(lane.seed) for lane in lanes]
    return Stack(models, problem.loss, _traced.setdefault(problem, {}))


MEMBERS, FEWEST = 96, 4
"""How many lanes a stack has at most, and at least."""

MEMORY, STREAMS = 2**23, 4
"""Bytes that a stack may take, and how often those of its parameters: gradients, two slots, too."""


def _updates(stack: Stack, lanes: Sequence[Lane]) -> list[tuple[Lanes, slice]]:
    """Return for each run of lanes with one rule its updates, and which of the lanes these are."""
    found, begin = [], 0
    for rule, members in groupby(lanes, key=lambda lane: lane.rule):
        hypers = [lane.hyper for lane in members]
        part = slice(begin, begin + len(hypers))
        parameters = [each[part] for each in stack.parameters.values()]
        found.append((Lanes(rule, parameters, hypers), part))
        begin = part.stop
    return found


def _orders(lanes: Sequence[Lane], count: int, epoch: int) -> Tensor:
    """Return the order in which each lane sees the examples, (lanes, examples)."""
    orders = {
        seed: Shuffled().indices(count, epoch, generator_of(seed, epoch))
        for seed in {lane.seed for lane in lanes}
    }
    return torch.stack([torch.as_tensor(orders[lane.seed]) for lane in lanes])


def _judged(problem: Problem, stack: Stack, number: int, train: Tensor) -> list[Epoch]:
    inputs, targets = examples(problem, "validation")
    outputs = stack.outputs(inputs)
    return [
        Epoch.of(
            number, float(running), float(problem.loss(output, targets)), _share(output, targets)
        )
        for running, output in zip(train, outputs, strict=True)
    ]


def _share(output: Tensor, targets: Tensor) -> float | None:
    right = right_answers(output, targets)
    return None if right is None else right / targets.numel()
