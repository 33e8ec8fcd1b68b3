"""Schedulers on the optimizer and running averages of the model: found where they are, and read."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim.lr_scheduler import LRScheduler

from thalweg.doctor.evidence import AverageFacts, SchedulerFacts

POSITIONS = 512
"""So many positions of a scheduler are kept; when there are more, every second is let go."""


class Schedulers:
    """The schedulers of one optimizer, and where each stood after how many updates.

    torch's optimizers do not know their schedulers. That there is one shows in a mark on ``step``
    or in a rate that changes; then they are looked for among all objects.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._found: dict[int, tuple[Any, list[tuple[int, int]]]] = {}
        self._rates: Any = None

    def look(self, updates: int, rates: tuple[float, ...]) -> None:
        """Note where the schedulers stand after so many updates."""
        changed = self._rates is not None and rates != self._rates
        if not self._found and (changed or (self._rates is None and self._marked())):
            self.search()
        self._rates = rates
        for scheduler, positions in self._found.values():
            place = scheduler.last_epoch
            if not positions or positions[-1][1] != place:
                positions.append((updates, place))
                if len(positions) > POSITIONS:
                    del positions[1::2]

    def _marked(self) -> bool:
        return hasattr(getattr(self._optimizer(), "step", None), "_wrapped_by_lr_sched")

    def search(self) -> None:
        """Find the schedulers of the optimizer."""
        optimizer = self._optimizer()
        for each in gc.get_objects():
            if issubclass(type(each), LRScheduler) and vars(each).get("optimizer") is optimizer:
                self._found.setdefault(id(each), (each, []))

    def facts(self, updates: int) -> list[SchedulerFacts]:
        """Return what is known of them now."""
        return [
            SchedulerFacts(
                type(each).__name__, dict(_settings(each)), (*positions, (updates, each.last_epoch))
            )
            for each, positions in self._found.values()
        ]


def _settings(scheduler: Any) -> Iterator[tuple[str, Any]]:
    for name, value in vars(scheduler).items():
        if name == "milestones":
            yield name, sorted(value.elements() if hasattr(value, "elements") else value)
        elif not name.startswith("_") and isinstance(value, (Real, str)):
            yield name, value
        elif isinstance(value, (list, tuple)) and all(isinstance(each, Real) for each in value):
            yield name, list(value)


class Averages:
    """Running averages that the model was averaged into."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[weakref.ref[nn.Module], dict[str, Tensor]]] = {}

    def averaged(self, average: nn.Module) -> None:
        """Take in that the model was averaged into *average*, which copies its moments as well."""
        moments = {name: layer.running_mean.clone() for name, layer in _normalizations(average)}
        self._seen[id(average)] = weakref.ref(average), moments

    def facts(self) -> list[AverageFacts]:
        """Return what is known of those that are still there."""
        alive = [(average(), moments) for average, moments in self._seen.values()]
        return [_average(each, moments) for each, moments in alive if each is not None]


def _average(average: Any, before: dict[str, Tensor]) -> AverageFacts:
    layers = dict(_normalizations(average))
    anew = [not torch.equal(layers[name].running_mean, moments) for name, moments in before.items()]
    reestimated = bool(average.use_buffers) or (bool(anew) and all(anew))
    return AverageFacts(int(average.n_averaged), tuple(before), reestimated)


def _normalizations(average: Any) -> Iterator[tuple[str, Any]]:
    for name, module in average.module.named_modules():
        if isinstance(module, _NormBase) and module.running_mean is not None:
            yield name, module
