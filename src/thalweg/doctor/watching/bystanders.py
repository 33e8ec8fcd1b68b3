"""Schedulers on the optimizer and running averages of the model: found where they are, and read."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim.lr_scheduler import LRScheduler

from thalweg.doctor.evidence import AverageFacts, OtherFacts, SchedulerFacts
from thalweg.doctor.watching.survey import follows_schedules, unwrapped

POSITIONS = 512
"""So many positions of a scheduler are kept; when there are more, every second is let go."""


class Schedulers:
    """The schedulers of one optimizer, and where each stood after how many updates.

    torch's optimizers do not know their schedulers. That there is one shows in a mark on ``step``
    or in a rate that changes; then they are looked for among all objects. ``others`` are the other
    optimizers that were seen when they were looked for.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = weakref.ref(optimizer)
        self.found: dict[int, tuple[Any, list[tuple[int, int]]]] = {}
        self.rates: Any = None
        self._sought: set[bool] = set()
        self._own = follows_schedules(optimizer)
        self.others: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()

    def look(self, updates: int, rates: tuple[float, ...]) -> None:
        """Note where the schedulers stand after so many updates."""
        if not self.found and rates != self.rates:
            self._seek(changed=self.rates is not None)
        self.rates = rates
        for scheduler, positions in self.found.values():
            place = scheduler.last_epoch
            if not positions or positions[-1][1] != place:
                positions.append((updates, place))
                if len(positions) > POSITIONS:
                    del positions[1::2]

    def _seek(self, changed: bool) -> None:
        """Search where there may be a scheduler; once for a mark and once without, for it is slow.

        Rates also change by hand, or by a schedule of thalweg's own, which is known without.
        """
        marked = self._marked()
        if (marked or (changed and not self._own)) and marked not in self._sought:
            self._sought.add(marked)
            self.search()

    def _marked(self) -> bool:
        return hasattr(getattr(self._optimizer(), "step", None), "_wrapped_by_lr_sched")

    def search(self) -> None:
        """Find the schedulers of the optimizer, and other optimizers.

        One whose constructor failed may still be there, half made: it is none.
        """
        optimizer = self._optimizer()
        for each in gc.get_objects():
            kind = type(each)
            if issubclass(kind, LRScheduler) and _steps(each, optimizer):
                self.found.setdefault(id(each), (each, []))
            elif issubclass(kind, torch.optim.Optimizer) and _is_other(each, optimizer):
                self.others.add(each)

    def facts(self, updates: int) -> list[SchedulerFacts]:
        """Return what is known of them now."""
        inside = {id(part) for each, _ in self.found.values() for part in _parts(each)}
        outer = [found for key, found in self.found.items() if key not in inside]
        return [_facts(each, [*seen, (updates, each.last_epoch)]) for each, seen in outer]

    def beside(self, names: dict[int, str], written: set[str]) -> list[OtherFacts]:
        """Return the other optimizers of the model: *names* are its, by the tensors' identity.

        *written* are the parameters that something wrote to between two updates.
        """
        found = []
        for each in self.others:
            held = tuple(names[id(p)] for p in _held(each) if id(p) in names)
            if held and getattr(each, "optimizer", None) is not self._optimizer():
                found.append(OtherFacts(type(each).__name__, held, bool(written & {*held})))
        return found


def _steps(scheduler: Any, optimizer: Any) -> bool:
    return vars(scheduler).get("optimizer") is optimizer and hasattr(scheduler, "last_epoch")


def _is_other(each: Any, optimizer: Any) -> bool:
    return each is not optimizer and hasattr(each, "param_groups")


def _held(optimizer: torch.optim.Optimizer | None) -> Iterator[Tensor]:
    for group in optimizer.param_groups if optimizer is not None else ():
        yield from group["params"]


def _parts(scheduler: Any) -> list[Any]:
    """Return the schedulers that a scheduler steps itself."""
    return list(getattr(scheduler, "_schedulers", ()))


def _facts(scheduler: Any, positions: Sequence[tuple[int, int]] = ()) -> SchedulerFacts:
    parts = [_facts(each) for each in _parts(scheduler)]
    return SchedulerFacts(
        type(scheduler).__name__, dict(_settings(scheduler)), tuple(positions), tuple(parts)
    )


def _settings(scheduler: Any) -> Iterator[tuple[str, Any]]:
    for each in getattr(scheduler, "lr_lambdas", ()):
        bound = getattr(each, "keywords", {})
        yield from ((name, value) for name, value in bound.items() if isinstance(value, Real))
    for name, value in vars(scheduler).items():
        if name in ("milestones", "_milestones"):
            yield "milestones", sorted(value.elements() if hasattr(value, "elements") else value)
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

    def facts(self, model: nn.Module) -> list[AverageFacts]:
        """Return what is known of those that are still there, beside the *model* itself."""
        alive = [(average(), moments) for average, moments in self._seen.values()]
        return [_average(each, moments, model) for each, moments in alive if each is not None]


def _average(average: Any, before: dict[str, Tensor], model: nn.Module) -> AverageFacts:
    layers = dict(_normalizations(average))
    anew = [not torch.equal(layers[name].running_mean, moments) for name, moments in before.items()]
    reestimated = bool(average.use_buffers) or (bool(anew) and all(anew))
    equal = _equal(unwrapped(average.module)[0], model)
    return AverageFacts(int(average.n_averaged), tuple(before), reestimated, equal)


def _equal(average: nn.Module, model: nn.Module) -> bool:
    """Whether two models have the same weights and buffers."""
    ours, theirs = model.state_dict(), average.state_dict()
    known = ours.keys() == theirs.keys()
    return known and all(
        torch.equal(ours[name], theirs[name].to(ours[name].device)) for name in ours
    )


def _normalizations(average: Any) -> Iterator[tuple[str, Any]]:
    for name, module in average.module.named_modules():
        if isinstance(module, _NormBase) and module.running_mean is not None:
            yield name, module
