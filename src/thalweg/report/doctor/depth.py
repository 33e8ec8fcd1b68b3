"""Numbers by depth: of each weight, or each layer, in the order of the forward pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thalweg.doctor import Evidence
    from thalweg.doctor.evidence import LayerProbe, ParameterProbe, Probe

ByName = Mapping[str, float]
Number = Callable[["ParameterProbe"], float | None]


def weights(seen: Evidence) -> list[str]:
    """Return the names of the weights that are matrices or more, in the order of the pass."""
    known, modules = seen.model.parameters, seen.model.modules
    called = [modules[name].parameters for name in seen.model.order if name in modules]
    names = dict.fromkeys([name for each in called for name in each] + list(known))
    return [name for name in names if name in known and len(known[name].shape) > 1]


def of_weights(seen: Evidence, number: Number) -> dict[int, ByName]:
    """Return a number of each weight, by the update at which it was seen."""
    names = weights(seen)
    return _by_step(seen, lambda probe: _numbers(probe.parameters, names, number))


def gradient(probe: ParameterProbe) -> float | None:
    """Return the norm of a gradient."""
    return probe.gradient


def ratio(probe: ParameterProbe) -> float | None:
    """Return the norm of an update as a share of the weight's."""
    return None if probe.update is None or not probe.weight else probe.update / probe.weight


def of_layers(seen: Evidence, number: Callable[[LayerProbe], float | None]) -> dict[int, ByName]:
    """Return a number of each layer, by the update at which it was seen."""
    names = seen.model.order
    return _by_step(seen, lambda probe: _numbers(probe.layers, names, number))


def idle(probe: LayerProbe) -> float | None:
    """Return the share of a layer that passes hardly any gradient: saturated, or silent units."""
    return probe.silent if probe.saturated is None else probe.saturated


def labels(seen: Evidence, names: Sequence[str]) -> list[str]:
    """Return names of layers with their kinds; a function has its kind in its name."""
    modules = seen.model.modules
    kinds = {name: modules[name].kind for name in names if name in modules and "(" not in name}
    return [f"{name} ({kinds[name]})" if name in kinds else name for name in names]


def medians(found: Mapping[int, ByName]) -> dict[str, float]:
    """Return the median over the updates of each name, of finite numbers where there are any."""
    names = dict.fromkeys(name for each in found.values() for name in each)
    values = {name: [each[name] for each in found.values() if name in each] for name in names}
    return {name: median(_finite(each)) for name, each in values.items()}


def _finite(values: list[float]) -> list[float]:
    """Return those that are finite, or NaN alone where none is."""
    return [each for each in values if math.isfinite(each)] or [math.nan]


def moments(found: Mapping[int, ByName]) -> dict[int, ByName]:
    """Return the first, the middle and the last of them."""
    steps = list(found)
    chosen = {steps[0], steps[len(steps) // 2], steps[-1]} if steps else set()
    return {step: found[step] for step in sorted(chosen)}


def spread(names: Sequence[str], most: int) -> list[str]:
    """Return at most so many of *names*, evenly spread, the first and the last among them."""
    if len(names) <= most:
        return list(names)
    places = [round(k * (len(names) - 1) / (most - 1)) for k in range(most)]
    return [names[place] for place in places]


def lies_in(name: str, places: Sequence[str]) -> bool:
    """Whether a layer, a parameter or a feature is one of *places*, or part of one."""
    return any(
        name == each or name.startswith(f"{each}.") or name in each.split(", ")
        for each in places
        if each
    )


def _by_step(seen: Evidence, of: Callable[[Probe], ByName]) -> dict[int, ByName]:
    found = {probe.step: of(probe) for probe in reversed(seen.probes)}
    return {step: found[step] for step in sorted(found) if found[step]}


def _numbers(probes: Mapping, names: Sequence[str], number: Callable) -> dict[str, float]:
    found = {name: number(probes[name]) for name in names if name in probes}
    return {name: float(value) for name, value in found.items() if value is not None}
