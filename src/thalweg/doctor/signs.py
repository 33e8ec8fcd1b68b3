"""Signs that several checks read: how far the loss fell, how fast, and how large the steps were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from thalweg.doctor.evidence import Course, Evidence, ParameterFacts, ParameterProbe, Probe


def remaining(seen: Evidence, parts: int = 10) -> float:
    """Return the loss at the end as a share of that at the beginning; 1 where it was not seen."""
    stretches = seen.losses.finite.medians(parts)
    if len(stretches) < 2 or stretches[0] <= 0:
        return 1.0
    return max(stretches[-1], 0.0) / stretches[0]


def spikes(seen: Evidence, times: float = 3.0, window: int = 50) -> list[int]:
    """Return the updates at which the loss shot up and came back: *times* above the median before.

    It also stands out by four standard deviations of the logarithms before it, and above four
    tenths of the first loss. The median of those after it is no more than twice that before it.
    """
    losses = seen.losses.finite
    values, found = np.maximum(losses.values, 1e-30), list[int]()
    for k in range(10, len(values) - 5):
        before, after = values[max(0, k - window) : k], values[k + 1 : k + 1 + window // 2]
        if values[k] > max(times * np.median(before), 0.4 * values[0]) and _stands_out(
            values[k], before
        ):
            new = not found or losses.steps[k] > found[-1] + 10
            if new and np.median(after) <= 2 * np.median(before):
                found.append(int(losses.steps[k]))
    return found


def _stands_out(value: float, before: np.ndarray, deviations: float = 4.0) -> bool:
    """Whether the logarithm of a value is so many robust standard deviations above the others."""
    logs = np.log(before)
    spread = 1.48 * np.median(np.abs(logs - np.median(logs)))
    return bool(np.log(value) - np.median(logs) > deviations * spread)


def stalled(seen: Evidence, share: float = 0.92, doubt: bool = True) -> bool:
    """Whether the second half of the losses lies no lower than a *share* of the quarter before.

    In *doubt* what may be noise, by two standard errors, is not taken for a fall.
    """
    stretches = seen.losses.finite.medians(8)
    least = share - 2 * uncertainty(seen, 4) if doubt else share
    return len(stretches) == 8 and sum(stretches[4:]) >= 2 * least * sum(stretches[2:4])


def stuck(seen: Evidence, share: float = 0.7) -> bool:
    """Whether the loss at the end is no lower than a *share* of that after a third of the run."""
    stretches = seen.losses.finite.medians(8)
    return len(stretches) == 8 and stretches[-1] >= share * stretches[2]


def erratic(seen: Evidence) -> float:
    """Return how far one loss of the second half lies from the next, as a share of the median."""
    values = seen.losses.finite.tail(0.5).values
    if len(values) < 3 or not np.median(values) > 0:
        return 0.0
    return float(np.median(np.abs(np.diff(values))) / np.median(values))


def limit_over_rate(seen: Evidence) -> float | None:
    """Return the largest stable rate as a multiple of the last one, None where it is not known."""
    rates, found = seen.lrs(), seen.curvature
    if found is None or not len(rates) or not rates.values[-1] > 0:
        return None
    return found.stable_lr[1] / float(rates.values[-1]) if 0 < found.stable_lr[1] < np.inf else None


def rate(seen: Evidence) -> float:
    """Return the median learning rate of the first group, 0 where none was seen."""
    return float(np.median(seen.lrs().values)) if len(seen.lrs()) else 0.0


def uncertainty(seen: Evidence, parts: int = 8) -> float:
    """Return the standard error of the median of one of so many stretches of the losses.

    It is a share of the median loss, from how far each loss lies from the next.
    """
    values = seen.losses.finite.values
    if len(values) < 2 * parts or not np.median(values) > 0:
        return 0.0
    scatter = 1.48 * float(np.median(np.abs(np.diff(values)))) / np.sqrt(2)
    return float(1.25 * scatter / np.sqrt(len(values) / parts) / np.median(values))


def updates(seen: Evidence) -> list[Probe]:
    """Return the probes of updates: that at the end of a run is none."""
    return [each for each in seen.probes if any(p.update for p in each.parameters.values())]


def at_work(seen: Evidence, share: float = 0.3) -> list[Probe]:
    """Return the probes of updates taken with at least this *share* of the largest rate."""
    rates = {each.number: max(each.lrs, default=0.0) for each in seen.steps}
    largest = max(rates.values(), default=0.0)
    return [each for each in updates(seen) if rates.get(each.step, 0.0) >= share * largest]


def update_ratios(seen: Evidence, some: slice = slice(3)) -> dict[str, float]:
    """Return update over weight of each trained matrix, the median of *some* updates at work.

    These are the first three by default. A matrix that is still far smaller than is usual for one
    of its width, as a last layer that begins at zero, is left out: any update is large beside it.
    """
    found, probes = {}, at_work(seen)
    rates = {each.number: each.lrs for each in seen.steps}
    for name in seen.model.weights:
        facts = seen.model.parameters[name]
        moving = [each for each in probes if _has_rate(facts, rates.get(each.step, ()))]
        small = 0.1 * facts.shape[0] ** 0.5
        stepped = [each for each in _stepped(moving, name) if each.weight > small]
        if stepped:
            ratios = [(each.update or 0.0) / each.weight for each in stepped[some]]
            found[name] = float(np.median(ratios))
    return found


def _has_rate(facts: ParameterFacts, rates: Sequence[float]) -> bool:
    """Whether the group of a parameter had a rate other than zero."""
    group = (facts.groups or (0,))[0]
    return any(rates[group : group + 1])


def _stepped(probes: Sequence[Probe], name: str) -> list[ParameterProbe]:
    """Return what was seen of a parameter where it had a gradient, and finite numbers."""
    known = [each.parameters[name] for each in probes if name in each.parameters]
    return [each for each in known if each.gradient and 0 <= (each.update or 0.0) < np.inf]


def replaced(seen: Evidence, least: int = 3) -> float:
    """Return the median of these ratios over *least* matrices or more, 0 where there are fewer."""
    ratios = update_ratios(seen)
    return float(np.median([*ratios.values()])) if len(ratios) >= least else 0.0


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
    known = [each for each in norms if each]
    return known[0] / known[-1] if len(known) > 1 and known[-1] > 0 else None


def blocked(probe: Probe, dead: float = 0.95, flat: float = 0.4) -> bool:
    """Whether a layer was *dead* or saturated (*flat*), so that no gradient came through it."""
    found = ((each.silent or 0.0, each.saturated or 0.0) for each in probe.layers.values())
    return any(silent > dead or saturated > flat for silent, saturated in found)


def sloped(probe: ParameterProbe, elements: int) -> float:
    """Return how many elements of a parameter had a gradient other than zero."""
    return 0.0 if probe.gradient is None else elements * (1 - probe.zeros)


def epoch(seen: Evidence) -> int | None:
    """Return how many updates an epoch had, None where nothing tells.

    Its last batch is shorter than the others, or a validation follows it.
    """
    sizes = [(each.number, each.examples) for each in seen.steps if each.examples]
    usual = max((size for _, size in sizes), default=0)
    short = [number for number, size in sizes if size < usual]
    return _period(short) or _period([each.step for each in seen.validations if each.step])


def _period(places: list[int]) -> int | None:
    """Return the distance between places that are as far apart as the first is from nothing."""
    even = len(places) > 1 and all(b - a == places[0] for a, b in pairwise(places))
    return places[0] if even else None


def largest_lrs(seen: Evidence) -> np.ndarray:
    """Return at each update the largest learning rate of a group."""
    return np.asarray([max(each.lrs) for each in seen.steps if each.lrs])


def spent(seen: Evidence, nothing: float = 2e-3) -> float:
    """Return the share of the run at its end in which the rate was as good as none."""
    rates = largest_lrs(seen)
    alive = np.flatnonzero(rates >= nothing * rates.max(initial=0.0))
    return 1 - (alive[-1] + 1) / len(rates) if len(alive) and rates.max() > 0 else 0.0


def rise(seen: Evidence, course: Course) -> float:
    """Return by what share of the largest rate it rose again after a schedule's end."""
    rates = largest_lrs(seen)
    if course.length is None or course.done <= course.length or not len(rates):
        return 0.0
    end = min(len(rates) - 1, round(course.length / course.done * len(rates)))
    return float((rates[end:].max() - rates[end]) / rates.max()) if rates.max() > 0 else 0.0
