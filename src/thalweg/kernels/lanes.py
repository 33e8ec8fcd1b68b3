"""Updates of trainings side by side: stacked parameters, of which each lane has rows of its own."""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from thalweg.algebra.signature import Scalar
from thalweg.kernels import launches
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.kernels.plan import lower
from thalweg.kernels.table import Launch, Row
from thalweg.rules import Rule
from thalweg.rules.functional import begin


class Lanes:
    """The updates of stacked parameters by one rule, every lane by its own hyperparameters.

    *parameters* have shape (lanes, ...), are contiguous and are updated in place; *hypers* has the
    hyperparameters of each lane by name. A lane is updated as an optimizer of its own would do it:
    what a rule sums over all parameters it sums over those of one lane, and noise has the same key.
    """

    def __init__(
        self, rule: Rule, parameters: Sequence[Tensor], hypers: Sequence[Mapping[str, float]]
    ) -> None:
        self.rule, self.plan = rule, lower(rule)
        self.parameters = list(parameters)
        lanes = [
            [self._row(p[lane].detach(), hyper, lane, place) for place, p in enumerate(parameters)]
            for lane, hyper in enumerate(hypers)
        ]
        together = lanes if self.plan.reads_every_row else [list(chain.from_iterable(lanes))]
        self.launches = [each for rows in together for each in launches(rule, rows)]
        self._places = [_places(launch) for launch in self.launches]
        self.set_hypers(hypers)

    def _row(self, p: Tensor, hyper: Mapping[str, float], lane: int, place: int) -> Row:
        slots = self.rule.signature.slots
        state = {name: begin(initial, p, hyper) for name, initial in slots.items()}
        scalars = [name for name, initial in slots.items() if isinstance(initial, Scalar)]
        return Row(
            p,
            tuple(each for name, each in state.items() if name not in scalars),
            tuple(state[name] for name in scalars),
            torch.tensor(0.0),
            lane,
            place,
        )

    def set_hypers(self, hypers: Sequence[Mapping[str, float]]) -> None:
        """Set the hyperparameters of every lane."""
        names = self.rule.hyperparameters
        table = [[float(hyper[name]) for name in names] for hyper in hypers]
        for launch in self.launches:
            launch.set_hypers(table)

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Make one update of every lane; *gradients* are shaped and laid out as the parameters."""
        gradients = [g.contiguous() for g in gradients]
        for launch, (lanes, places) in zip(self.launches, self._places, strict=True):
            if isinstance(launch, CpuLaunch):
                begins = np.array([g.data_ptr() for g in gradients])
                strides = np.array([g.stride(0) * g.element_size() for g in gradients])
                launch.take_at(begins[places] + lanes * strides[places])
            else:
                for row in launch.rows:
                    row.parameter.grad = gradients[row.index][row.group]
                launch.take()
            launch.run()


def _places(launch: Launch) -> tuple[np.ndarray, np.ndarray]:
    """Return the lane of each row of a launch, and the place of its parameter."""
    rows = launch.rows
    return np.array([row.group for row in rows]), np.array([row.index for row in rows])
