"""Signs that several checks read: how far the loss fell, how fast, and how large the steps were."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thalweg.doctor.evidence import Evidence, ParameterProbe, Probe


def remaining(seen: Evidence, parts: int = 10) -> float:
    """Return the loss at the end as a share of that at the beginning; 1 where it was not seen."""
    stretches = seen.losses.finite.medians(parts)
    if len(stretches) < 2 or stretches[0] <= 0:
        return 1.0
    return max(stretches[-1], 0.0) / stretches[0]


def updates(seen: Evidence) -> list[Probe]:
    """Return the probes of updates: that at the end of a run is none."""
    return [each for each in seen.probes if any(p.update for p in each.parameters.values())]


def at_work(seen: Evidence, share: float = 0.3) -> list[Probe]:
    """Return the probes of updates taken with at least this *share* of the largest rate."""
    rates = {each.number: max(each.lrs, default=0.0) for each in seen.steps}
    largest = max(rates.values(), default=0.0)
    return [each for each in updates(seen) if rates.get(each.step, 0.0) >= share * largest]


def median_over(probes: list[Probe], number: Callable[[Probe], float | None]) -> float | None:
    """Return the median of a number over the probes that have it."""
    found = [each for each in map(number, probes) if each is not None]
    return float(np.median(found)) if found else None


def length(probe: Probe, field: str) -> float:
    """Return the Euclidean norm over all parameters of what a *field* has the norms of."""
    norms = (getattr(each, field) for each in probe.parameters.values())
    return float(np.sqrt(sum((each or 0.0) ** 2 for each in norms)))


def weight_ratio(seen: Evidence, probe: Probe) -> float | None:
    """Return the norm of the first weight's gradient as a multiple of the last one's."""
    found = [probe.parameters[name] for name in seen.model.weights if name in probe.parameters]
    return _first_over_last([each.gradient for each in found])


def output_ratio(seen: Evidence, probe: Probe) -> float | None:
    """Return the same of the loss's gradients with respect to what these layers put out.

    A deep net whose layers are all scaled badly alike keeps the ratio of its weights near one, for
    what its gradients lose on their way back its activations lose on their way forth.
    """
    weights = seen.model.weights
    modules = (seen.model.modules[name] for name in seen.model.order if name in seen.model.modules)
    names = [each.name for each in modules if set(each.parameters) & {*weights}]
    return _first_over_last([probe.layers[name].gradient for name in names if name in probe.layers])


def _first_over_last(norms: list[float | None]) -> float | None:
    known = [each for each in norms if each is not None]
    return known[0] / known[-1] if len(known) > 1 and known[-1] > 0 else None


def blocked(probe: Probe, dead: float = 0.95, flat: float = 0.4) -> bool:
    """Whether a layer was *dead* or saturated (*flat*), so that no gradient came through it."""
    found = ((each.silent or 0.0, each.saturated or 0.0) for each in probe.layers.values())
    return any(silent > dead or saturated > flat for silent, saturated in found)


def sloped(probe: ParameterProbe, elements: int) -> float:
    """Return how many elements of a parameter had a gradient other than zero."""
    return 0.0 if probe.gradient is None else elements * (1 - probe.zeros)
