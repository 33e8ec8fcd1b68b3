"""Small plots for a terminal: what a finding says, as evidence one can see."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from thalweg.report import numerals
from thalweg.report.bars import Bar, Bars, logarithmic
from thalweg.report.doctor import depth
from thalweg.report.dots import Dots
from thalweg.report.sparkline import scale, sparkline

if TYPE_CHECKING:
    from thalweg.doctor import Evidence
    from thalweg.doctor.evidence import Curvature, Curve

HEIGHT = 5
"""How many lines a curve takes."""

MOST = 12
"""How many bars are drawn at most, spread evenly over all layers."""

WIDTH = 48

Places = Sequence[str]
Plot = Callable[["Evidence", Places], RenderableType | None]


def small(name: str, seen: Evidence, places: Places = ()) -> RenderableType | None:
    """Return the small plot of a name, what is at *places* marked; None where nothing is there."""
    plot = PLOTS.get(name)
    return plot(seen, places) if plot else None


def losses(seen: Evidence, places: Places) -> RenderableType | None:
    """Draw the training loss, and beside it that of validation."""
    found = {"training loss": seen.losses, "validation loss": seen.validation}
    return _curves({name: each for name, each in found.items() if len(each.finite) > 1}, seen)


def rates(seen: Evidence, places: Places) -> RenderableType | None:
    """Draw the learning rate of each group where it changes."""
    groups = max((len(each.lrs) for each in seen.steps), default=0)
    found = {f"learning rate of group {k}": seen.lrs(k) for k in range(groups)}
    changing = {name: each for name, each in found.items() if len(set(each.values)) > 1}
    return _curves(dict(list(changing.items())[:3]), seen)


def _curves(curves: Mapping[str, Curve], seen: Evidence) -> RenderableType | None:
    """Draw curves on one scale, each at updates evenly spread."""
    import numpy as np

    if not curves:
        return None
    at = np.linspace(0, seen.updates, min(seen.updates + 1, 2000))
    drawn = {
        name: (at, np.interp(at, each.steps, each.values, np.nan, np.nan))
        for name, each in curves.items()
    }
    heights = np.concatenate([each.finite.values for each in curves.values()])
    far = heights.min() > 0 and heights.max() > 10 * heights.min()
    axis = "updates" if len(curves) > 1 else f"updates: {next(iter(curves))}"
    return Dots(drawn, axis + (", logarithmic" if far else ""), HEIGHT, bool(far))


def activity(seen: Evidence, places: Places) -> RenderableType | None:
    """Draw which share of each activation passes no gradient: dead units, or saturated values."""
    last = {name: each for found in depth.of_layers(seen, depth.idle).values()
            for name, each in found.items()}  # fmt: skip
    last |= {name: 1 - each.active / each.units for name, each in seen.units.items() if each.units}
    title = "share that passes no gradient: units that were always zero, or saturated values"
    return _bars(title, last, list(last.values()), numerals.share, seen, places)


def gradients(seen: Evidence, places: Places) -> RenderableType | None:
    """Draw the median norm of each weight's gradient."""
    found = depth.medians(depth.of_weights(seen, depth.gradient))
    title = "norm of the gradient by depth, from the input on; bars are logarithmic"
    return _bars(
        title, found, logarithmic(list(found.values())), numerals.significant, seen, places
    )


def updates(seen: Evidence, places: Places) -> RenderableType | None:
    """Draw the median ratio of each weight's update to the weight."""
    found = depth.medians(depth.of_weights(seen, depth.ratio))
    title = "update as a share of the weight, from the input on; bars are logarithmic"
    return _bars(
        title, found, logarithmic(list(found.values())), numerals.significant, seen, places
    )


def inputs(seen: Evidence, places: Places) -> RenderableType | None:
    """Draw the largest values of the features that have the largest, and of the median one."""
    if seen.inputs is None:
        return None
    ends = zip(seen.inputs.low, seen.inputs.high, strict=True)
    sizes = [max(abs(float(low)), abs(float(high))) for low, high in ends]
    ranked = sorted(zip(sizes, seen.inputs.names, strict=True), reverse=True)
    found = {name: size for size, name in ranked[:5]}
    found["median feature"] = ranked[len(ranked) // 2][0]
    title = "largest absolute value of a feature; bars are logarithmic"
    return _bars(
        title, found, logarithmic(list(found.values())), numerals.significant, seen, places
    )


def _bars(
    title: str, found: Mapping[str, float], lengths: list[float], write: Callable[[float], str],
    seen: Evidence, places: Places,
) -> RenderableType | None:  # fmt: skip
    if not found:
        return None
    kept = depth.spread(list(found), MOST)
    named = zip(found.items(), lengths, depth.labels(seen, list(found)), strict=True)
    bars = [
        Bar(label, length, write(value), depth.lies_in(name, places))
        for (name, value), length, label in named
        if name in kept
    ]
    left = f" ({len(bars)} of {len(found)})" if len(bars) < len(found) else ""
    return Bars(title + left, bars)


def spectrum(seen: Evidence, places: Places) -> RenderableType | None:
    """Draw the density of eigenvalues, and where the learning rate lies beside the stable ones."""
    if seen.curvature is None:
        return None
    return Text("\n").join([*_density(seen.curvature), *_stability(seen)])


def _density(found: Curvature) -> Iterator[Text]:
    low, high = min(found.smallest, 0.0), max(found.largest, 0.0)
    ends = f"{numerals.significant(found.smallest)} to {numerals.significant(found.largest)}"
    yield Text(f"eigenvalues of the Hessian, from {ends}, heights logarithmic", style="dim")
    if found.spectrum and high > low:
        shares = [0.0] * WIDTH
        for value, share in found.spectrum:
            place = int((value - low) / (high - low) * WIDTH)
            shares[min(max(place, 0), WIDTH - 1)] += share
        curve = [(place, share) for place, share in enumerate(shares) if share > 1e-9]
        yield Text(
            sparkline(curve, scale([[(0, curve[0][1]), (WIDTH - 1, curve[0][1])], curve]), WIDTH)
        )


def _stability(seen: Evidence) -> Iterator[Text]:
    """Yield a line from a small to a large learning rate: stable, between, and beyond."""
    used, found = seen.lrs(), seen.curvature
    if found is None or not len(used) or not 0 < found.stable_lr[1] < math.inf:
        return
    rate, (low, high) = float(used.values[-1]), found.stable_lr
    ends = [math.log10(min(rate, low or high) / 3), math.log10(max(rate, high) * 3)]

    def place(value: float) -> int:
        return round((math.log10(value) - ends[0]) / (ends[1] - ends[0]) * (WIDTH - 1))

    first, last = place(low or high), place(high)
    line = ["━" if k < first else "▒" if k <= last else "╌" for k in range(WIDTH)]
    if rate > 0:
        line[place(rate)] = "●"
    told = numerals.significant(high)
    yield Text(f"learning rate ● {numerals.rate(rate)}, stable ━ up to {told}", style="dim")
    yield Text("".join(line))


PLOTS: Mapping[str, Plot] = {
    "losses": losses,
    "rates": rates,
    "activity": activity,
    "gradients": gradients,
    "updates": updates,
    "inputs": inputs,
    "spectrum": spectrum,
}
