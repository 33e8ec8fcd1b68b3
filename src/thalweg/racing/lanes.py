"""Lanes: trainings of one problem that differ in rule, settings or seed, trained side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from thalweg.kernels.lanes import Lanes
from thalweg.problems import Problem
from thalweg.racing.result import Epoch
from thalweg.racing.shares import Shares
from thalweg.racing.stack import Stack
from thalweg.racing.tensors import tensors
from thalweg.rules import Rule
from thalweg.training.data.order import Shuffled, generator_of
from thalweg.training.evaluation import Evaluation
from thalweg.training.threads import threads


@dataclass(frozen=True)
class Lane:
    """One training: a rule with all its hyperparameters, and the seed of weights and data order.

    A hyperparameter is a number, or a schedule over the updates. Dropout begins at the seed too.
    """

    rule: Rule
    hyper: Mapping[str, Any]
    seed: int


@final
class SideBySide:
    """Several lanes of a problem that are trained at once, as `fit` trains each of them alone.

    Every lane has the weights, the order of the data, the dropout and the hyperparameters of its
    training alone, and equals it but for products of stacked matrices, which may round otherwise in
    the last place. ``seconds`` has what each lane has taken so far: an equal share of what is done
    for all, and of what is done for its rule. ``threads`` is how many of torch's threads
    are used, by default those that the problem asks for. `thalweg.racing.sizing.lanes_at_once`
    tells whether a model can be stacked at all, and how many lanes should stand together.
    """

    def __init__(
        self, problem: Problem, lanes: Sequence[Lane], batch: int, threads: int | None = None
    ) -> None:
        self.problem, self.lanes, self.batch = problem, tuple(lanes), batch
        self.threads = threads or problem.threads
        self.epochs = 0
        rules = list(dict.fromkeys(lane.rule for lane in lanes))
        self._stacked = [k for rule in rules for k, lane in enumerate(lanes) if lane.rule is rule]
        self._standing = set(self._stacked)
        self._shares = Shares(len(lanes))
        with self._shares.of(None):
            members = [lanes[k] for k in self._stacked]
            self._generators = [torch.Generator().manual_seed(lane.seed) for lane in members]
            models = {seed: problem.make_model(seed) for seed in {lane.seed for lane in members}}
            self._stack = Stack([models[lane.seed] for lane in members], problem.loss)
        self._updates = [self._lanes_of(rule) for rule in rules]

    def _lanes_of(self, rule: Rule) -> Lanes:
        with self._shares.of(rule):
            part = self._part(rule)
            parameters = [each[part] for each in self._stack.parameters.values()]
            return Lanes(rule, parameters, [self.lanes[k].hyper for k in self._stacked[part]])

    def _part(self, rule: Rule) -> slice:
        """Return where in the stack the lanes of a rule are: they stand next to each other."""
        places = [place for place, k in enumerate(self._stacked) if self.lanes[k].rule is rule]
        return slice(places[0], places[-1] + 1)

    @property
    def seconds(self) -> list[float]:
        """What each lane has taken so far."""
        self._shares.part(self._at_work)
        return list(self._shares.seconds)

    def _at_work(self, rule: Any) -> list[int]:
        """Return the lanes of a rule that stand, or all of them for None."""
        return [k for k in self._standing if rule in (None, self.lanes[k].rule)]

    def train(self, epochs: int) -> Iterator[list[Epoch | None]]:
        """Train for so many more epochs; yield after each where every lane stands.

        A lane whose loss is no longer finite is retired: that epoch is its last, infinite, and
        None stands for every later one. Where no lane is left, nothing more is yielded.
        """
        last = self.epochs + epochs
        while self.epochs < last and self._standing:
            with threads(self.threads):
                losses = self._epoch()
                self.epochs += 1
                judged = self._judged(self.problem.validation)
            found = self._curves(losses, judged)
            self._retire([k for k in self._standing if math.isinf(found[k].train_loss)], last)
            yield [found.get(k) for k in range(len(self.lanes))]

    def judged(self, data: Any) -> list[Evaluation | None]:
        """Return each lane's loss and accuracy on other examples, None for one that is retired."""
        with threads(self.threads):
            found = self._judged(data)
        return [found.get(k) for k in range(len(self.lanes))]

    def _epoch(self) -> Tensor:
        """Train for one epoch, and return every member's mean loss, each before its update."""
        examples = tensors(self.problem.train)
        total = torch.zeros(self._stack.members, dtype=torch.float64)
        for chosen in self._orders(len(examples[1])).split(self.batch, dim=1):
            total += self._step(examples, chosen) * chosen.shape[1]
        return total / len(examples[1])

    def _step(self, examples: tuple[Tensor, Tensor], chosen: Tensor) -> Tensor:
        """Update every member by its chosen examples, and return its loss on them before."""
        with self._shares.of(None):
            inputs, targets = (_rows(each, chosen, self._stack.members) for each in examples)
            losses, gradients = self._stack.gradients(inputs, targets, self._generators)
        self._update(list(gradients.values()))
        return losses.double()

    def _update(self, gradients: list[Tensor | None]) -> None:
        first = 0
        for updates in self._updates:
            with self._shares.of(updates.rule):
                updates.step(gradients, first)
            first += len(updates.hypers)

    def _orders(self, count: int) -> Tensor:
        """Return the order in which each member sees the examples; one row where all are alike."""
        seeds = [self.lanes[k].seed for k in self._stacked]
        distinct = list(dict.fromkeys(seeds))
        orders = [
            torch.as_tensor(Shuffled().indices(count, self.epochs, generator_of(s, self.epochs)))
            for s in distinct
        ]
        if len(distinct) == 1:
            return orders[0].unsqueeze(0)
        return torch.stack(orders)[[distinct.index(seed) for seed in seeds]]

    def _judged(self, split: Any) -> dict[int, Evaluation]:
        """Return what `evaluate` says of the lanes that stand."""
        inputs, targets = tensors(split)
        total = torch.zeros(self._stack.members, dtype=torch.float64)
        size = _evenly(len(targets), piece(self.batch))
        right: Tensor | None = None
        with self._shares.of(None):
            for part in zip(inputs.split(size), targets.split(size), strict=True):
                losses, found = self._stack.judged(*part)
                total += losses.double() * len(part[1])
                right = found if right is None or found is None else right + found
            answers = (
                [None] * len(total)
                if right is None
                else (right.double() / targets.numel()).tolist()
            )
            means = (total / len(targets)).tolist()
        every = map(Evaluation, means, answers)
        return {k: own for k, own in zip(self._stacked, every, strict=True) if k in self._standing}

    def _curves(self, losses: Tensor, judged: Mapping[int, Evaluation]) -> dict[int, Epoch]:
        return {
            k: Epoch.of(self.epochs, train, *judged[k])
            for k, train in zip(self._stacked, losses.tolist(), strict=True)
            if k in self._standing
        }

    def _retire(self, lanes: Sequence[int], last: int) -> None:
        """Let these lanes take no more part; stack the others anew if that pays until the end."""
        self._shares.part(self._at_work)
        self._standing -= set(lanes)
        gone = len(self._stacked) - len(self._standing)
        left = -(-len(tensors(self.problem.train)[1]) // self.batch) * (last - self.epochs)
        if self._standing and gone * left > RESTACKING * len(self._stacked):
            with self._shares.of(None):
                self._restack()

    def _restack(self) -> None:
        kept = [place for place, k in enumerate(self._stacked) if k in self._standing]
        parts = [(updates, self._part(updates.rule)) for updates in self._updates]
        self._stacked = [self._stacked[place] for place in kept]
        self._generators = [self._generators[place] for place in kept]
        self._stack.keep(torch.tensor(kept))
        self._updates = []
        for updates, before in parts:
            chosen = [place - before.start for place in kept if before.start <= place < before.stop]
            if chosen:
                after = self._part(updates.rule)
                updates.keep(chosen, [each[after] for each in self._stack.parameters.values()])
                self._updates.append(updates)


RESTACKING = 16
"""Of how many updates the time is what stacking anew takes: most of it goes into tracing."""


def piece(batch: int) -> int:
    """Return how many examples are judged at once: not much more memory than a batch needs."""
    return max(2 * batch, 64)


def _evenly(count: int, most: int) -> int:
    """Return the size of as few pieces as there can be, as equal as can be: most have one shape."""
    return -(-count // -(-count // most))


def _rows(part: Tensor, chosen: Tensor, members: int) -> Tensor:
    """Return the chosen rows (members, batch, ...); of an order that all share they are views."""
    found = part.index_select(0, chosen.flatten()).unflatten(0, chosen.shape)
    return found.expand(members, *found.shape[1:])
