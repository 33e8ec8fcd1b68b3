"""Updates of trainings side by side: stacked parameters, of which each lane has rows of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from thalweg.algebra.signature import Initial, Scalar
from thalweg.kernels import launches
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.kernels.plan import lower
from thalweg.kernels.table import Launch, Row
from thalweg.rules import Rule
from thalweg.rules.functional import begin
from thalweg.schedules import Schedule
from thalweg.schedules.columns import Columns

Hypers = Mapping[str, Any]


@final
class Lanes:
    """The updates of stacked parameters by one rule, every lane by its own hyperparameters.

    *parameters* have shape (lanes, ...), are contiguous and are updated in place; *hypers* has the
    hyperparameters of each lane by name, numbers or schedules over the updates. A lane is updated
    as an optimizer of its own would do it: what a rule sums over all parameters it sums over those
    of one lane, and noise has the same key.
    """

    def __init__(self, rule: Rule, parameters: Sequence[Tensor], hypers: Sequence[Hypers]) -> None:
        self.rule, self.hypers, self.updates = rule, list(hypers), 0
        self.parameters = [each.detach() for each in parameters]
        self.steps = torch.zeros(len(hypers), len(parameters))
        beginnings = [_beginning(each) for each in hypers]
        self.state = [
            {
                name: _stacked(initial, p, beginnings)
                for name, initial in rule.signature.slots.items()
            }
            for p in self.parameters
        ]
        self._lay_out()

    def _lay_out(self) -> None:
        """Make the rows of the lanes as they are now, and what launches them."""
        lanes = [
            [self._row(lane, place) for place in range(len(self.parameters))]
            for lane in range(len(self.hypers))
        ]
        apart = lower(self.rule).reads_every_row
        together = lanes if apart else [list(chain.from_iterable(lanes))]
        self._launches = [
            _Fed(launch, self.parameters)
            for rows in together
            for launch in launches(self.rule, rows)
        ]
        self._columns = Columns(list(self.rule.hyperparameters), self.hypers)
        self._set_hypers(self._columns.at(self.updates))

    def _row(self, lane: int, place: int) -> Row:
        state, slots = self.state[place], self.rule.signature.slots
        scalars = [name for name, initial in slots.items() if isinstance(initial, Scalar)]
        return Row(
            self.parameters[place][lane],
            tuple(each[lane] for name, each in state.items() if name not in scalars),
            tuple(state[name][lane] for name in scalars),
            self.steps[lane, place],
            lane,
            place,
        )

    def keep(self, lanes: Sequence[int], parameters: Sequence[Tensor]) -> None:
        """Go on with these *lanes* alone, whose parameters are now stacked in *parameters*."""
        chosen = torch.tensor(lanes)
        self.parameters = [each.detach() for each in parameters]
        self.hypers = [self.hypers[lane] for lane in lanes]
        self.steps = self.steps[chosen]
        self.state = [{name: each[chosen] for name, each in own.items()} for own in self.state]
        self._lay_out()

    def step(self, gradients: Sequence[Tensor | None], first: int = 0) -> None:
        """Make one update of every lane, whose gradients begin with number *first* of those given.

        The gradients are shaped as the parameters; one that is None leaves its parameter alone.
        """
        if self._columns.scheduled:
            self._set_hypers(self._columns.at(self.updates))
        gradients = [g if g is None else g.contiguous() for g in gradients]
        for launch in self._launches:
            launch.run(gradients, first)
        self.updates += 1

    def _set_hypers(self, table: np.ndarray) -> None:
        for each in self._launches:
            each.launch.set_hypers(table)  # type: ignore[arg-type]


class _Fed:
    """A launch, and where the gradients of its rows lie in those of all lanes."""

    def __init__(self, launch: Launch, parameters: Sequence[Tensor]) -> None:
        self.launch = launch
        self._parameters = np.array([row.index for row in launch.rows])
        self._lane_bytes = np.array([p[0].nbytes for p in parameters])[self._parameters]
        self._offsets = self._lane_bytes * [row.group for row in launch.rows]
        self._taken: tuple = ()

    def run(self, gradients: Sequence[Tensor | None], first: int) -> None:
        """Update the rows by the gradients of lanes number *first* and on."""
        if isinstance(self.launch, CpuLaunch):
            begins = (first, *[0 if g is None else g.data_ptr() for g in gradients])
            if begins != self._taken:
                self._taken = begins
                self.launch.take_at(self._addresses(*begins))
        else:
            for row in self.launch.rows:
                g = gradients[row.index]
                row.parameter.grad = None if g is None else g[first + row.group]
            self.launch.take()
        self.launch.run()

    def _addresses(self, first: int, *begins: int) -> np.ndarray:
        """Return where the gradient of each row begins, 0 where there is none."""
        found = np.array(begins)[self._parameters] + self._offsets + first * self._lane_bytes
        if 0 in begins:
            found[np.array(begins)[self._parameters] == 0] = 0
        return found


def _beginning(hypers: Hypers) -> dict[str, float]:
    """Return the numbers that the first update uses."""
    return {
        name: float(value(0)) if isinstance(value, Schedule) else value
        for name, value in hypers.items()
    }


def _stacked(initial: Initial, p: Tensor, hypers: Sequence[Mapping[str, float]]) -> Tensor:
    """Return the beginning of a slot of every lane."""
    return torch.stack([begin(initial, own, each) for own, each in zip(p, hypers, strict=True)])
