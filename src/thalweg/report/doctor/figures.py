"""The pictures of a training that was examined: curves, layers by depth, spectrum and slice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import count
from typing import TYPE_CHECKING

from thalweg.report import numerals
from thalweg.report.doctor import depth
from thalweg.report.figure import Figure, colour, finite, fitted

if TYPE_CHECKING:
    from thalweg.doctor import Evidence
    from thalweg.doctor.evidence import Curve

HEIGHT = 380
"""How high a picture is, in pixels."""

POINTS = 600
"""How many points of a curve are drawn at most."""

CEILING = 100.0
"""Losses beyond so many times the upper decile are out of the view."""

LAYERS = 24
"""How many layers a picture shows at most, evenly spread."""

LEAST = 1e-7
"""Points of a spectrum that stand for a smaller share are not drawn."""

_DASHES = ("dot", "dash", "solid")


def losses(seen: Evidence) -> Figure | None:
    """Draw the loss of each update, the median of stretches of them, and that of validation."""
    curve = seen.losses
    if not len(curve):
        return None
    traces = [_curve("each update", curve, 0) | {"opacity": 0.45}]
    traces[0]["mode"] = "lines" if len(curve) > 40 else "lines+markers"
    if len(curve) >= 60:
        traces.append(_curve("median", _medians(curve, min(30, len(curve) // 10)), 0))
    if len(seen.validation):
        traces.append(_curve("validation", seen.validation, 1) | {"mode": "lines+markers"})
    heights = sorted(value for each in traces for value in each["y"] if value is not None)
    top = CEILING * heights[int(0.9 * (len(heights) - 1))] if heights else 0.0
    seen_heights = [each for each in heights if each <= top] if top > 0 else heights
    return _figure(traces, "updates", "loss", fitted(seen_heights))


def rates(seen: Evidence) -> Figure | None:
    """Draw the learning rate of each group, and the ends of the stable interval at the end."""
    groups = max((len(each.lrs) for each in seen.steps), default=0)
    if not groups:
        return None
    names = ["learning rate"] if groups == 1 else [f"group {k}" for k in range(groups)]
    traces = [_curve(name, seen.lrs(k), k) for k, name in enumerate(names)]
    traces += [_level(name, value, seen.updates) for name, value in _limits(seen).items()]
    heights = [value for each in traces for value in each["y"] if value]
    return _figure(traces, "updates", "learning rate", fitted(heights))


def _limits(seen: Evidence) -> dict[str, float]:
    low, high = seen.curvature.stable_lr if seen.curvature else (0.0, math.inf)
    if not 0 < high < math.inf:
        return {}
    if numerals.rate(low) == numerals.rate(high):
        return {"largest stable": high}
    return {"stable below": low, "unstable above": high} if low else {
        "unstable above": high
    }  # fmt: skip


def _level(name: str, value: float, last: int) -> Figure:
    line = {"color": colour(1), "dash": "dash", "width": 1.5}
    return _line(name, [1, max(last, 2)], [value, value], line)


def gradients(seen: Evidence) -> Figure | None:
    """Draw the norm of each weight's gradient by depth, early and late."""
    return _by_depth(seen, depth.of_weights(seen, depth.gradient), "norm of the gradient")


def updates(seen: Evidence) -> Figure | None:
    """Draw the ratio of each weight's update to the weight by depth, early and late."""
    return _by_depth(seen, depth.of_weights(seen, depth.ratio), "update / weight")


def activity(seen: Evidence) -> Figure | None:
    """Draw which share of each activation passes no gradient, early and late."""
    axis = {"range": [-0.03, 1.03], "tickformat": ".0%"}
    return _by_depth(seen, depth.of_layers(seen, depth.idle), "share without gradient", axis)


def _by_depth(
    seen: Evidence, found: Mapping[int, depth.ByName], title: str, axis: Figure | None = None
) -> Figure | None:
    """Draw numbers against depth, a line for the first, the middle and the last update."""
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    traces = []
    for number, (step, values) in enumerate(depth.moments(found).items()):
        line = {"color": colour(number), "dash": _DASHES[number], "width": 2}
        drawn = finite(values.get(name, math.nan) for name in names)
        trace = _line(f"update {step:,}", depth.labels(seen, names), drawn, line)
        traces.append(trace | {"mode": "lines+markers", "marker": {"size": 7}})
    heights = [value for each in traces for value in each["y"] if value is not None]
    if not heights:
        return None
    figure = _figure(traces, "", title, axis or fitted([each for each in heights if each]))
    figure["layout"]["xaxis"] = {"type": "category"}
    if len(names) > 4:
        figure["layout"]["xaxis"] |= {"tickangle": -45, "tickfont": {"size": 11}}
        figure["layout"]["height"] = HEIGHT + 3 * max(map(len, names))
    return figure


def histograms(seen: Evidence) -> Figure | None:
    """Draw how what each layer puts out is spread, first and last, the first layer on top.

    Each is scaled by the largest value of its layer, and its heights are square roots of shares,
    so that rare values are seen beside a heap at zero.
    """
    probes = [each for each in seen.probes if any(len(k.counts) for k in each.layers.values())]
    names = [name for name in seen.model.order if any(name in each.layers for each in probes)]
    if not names:
        return None
    kept = depth.spread(names, LAYERS)[::-1]
    traces = []
    for number, probe in enumerate([probes[0], *probes[1:][-1:]]):
        for base, name in enumerate(kept):
            layer = probe.layers.get(name)
            if layer is not None and any(layer.counts):
                trace = _ridge(base, layer.edges, layer.counts, number)
                trace["name"] = f"update {probe.step:,}"
                trace["legendgroup"] = str(number)
                traces.append(trace)
        traces[-1]["showlegend"] = True
    figure = _figure(traces, "value / largest of its layer", "", {})
    axis = {"showticklabels": False, "showgrid": False, "range": [-0.2, len(kept) + 0.1]}
    figure["layout"]["yaxis"] |= axis
    figure["layout"]["annotations"] = list(map(_name_tag, depth.labels(seen, kept), count()))
    figure["layout"]["height"] = 160 + 50 * len(kept)
    return figure


def _name_tag(label: str, base: int) -> Figure:
    """Return a layer's name above its histogram, where there is room for a long one."""
    return {
        "text": escape(label), "showarrow": False, "x": 0, "xref": "paper", "xanchor": "left",
        "y": base + 0.82, "yanchor": "middle", "align": "left", "font": {"size": 12},
    }  # fmt: skip


def _ridge(base: int, edges: Sequence[float], counts: Sequence[int], number: int) -> Figure:
    """Return the outline of a histogram that stands on *base*."""
    largest = max(abs(edges[0]), abs(edges[-1])) or 1.0
    shares = [count / sum(counts) for count in counts]
    tallest = max(shares)
    across = [edge / largest for edge in edges for _ in (0, 1)]
    rises = [0.64 * math.sqrt(share / tallest) for share in shares for _ in (0, 1)]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": across,
        "y": [float(base), *(base + rise for rise in rises), float(base)],
        "fill": "toself",
        "opacity": 0.65,
        "line": {"color": colour(number), "width": 1},
        "showlegend": False,
        "hoveron": "fills",
        "hoverinfo": "text",
        "text": f"from {edges[0]:.3g} to {edges[-1]:.3g}",
    }


def spectrum(seen: Evidence) -> Figure | None:
    """Draw eigenvalues of the Hessian, each as high as the share of all that it stands for."""
    found = seen.curvature
    points = [each for each in found.spectrum if each[1] > LEAST] if found else []
    if not points:
        return None
    floor = min(share for _, share in points) / 3
    stems: dict[str, list[float | None]] = {
        "x": [place for value, _ in points for place in (value, value, None)],
        "y": [height for _, share in points for height in (floor, share, None)],
    }
    stem = _line("", stems["x"], stems["y"], {"color": colour(0), "width": 1.5})
    heads = _line("eigenvalues", [x for x, _ in points], [y for _, y in points], {})
    heads |= {"mode": "markers", "marker": {"size": 7, "color": colour(0)}}
    traces = [stem | {"showlegend": False, "hoverinfo": "skip"}, heads]
    return _figure(
        traces, "eigenvalue of the Hessian", "share of all", fitted([y for _, y in points])
    )


def loss_slice(seen: Evidence) -> Figure | None:
    """Draw the loss along a random direction and down the gradient, the weights in the middle."""
    found = seen.loss_slice
    if found is None:
        return None
    cuts = {"random direction": found.random, "down the gradient": found.downhill}
    traces = []
    for number, (name, values) in enumerate(cuts.items()):
        line = {"color": colour(number), "width": 2}
        trace = _line(name, found.places[: len(values)], finite(values), line)
        traces.append(trace | {"mode": "lines+markers", "marker": {"size": 6}})
    heights = [value for each in traces for value in each["y"] if value is not None]
    if not heights:
        return None
    drawn = [each for each in traces if each["y"]]
    return _figure(drawn, "move, in lengths of the filters", "loss", fitted(heights))


def inputs(seen: Evidence) -> Figure | None:
    """Draw the mean of each feature, its spread, the standard deviation, and its extremes."""
    if seen.inputs is None:
        return None
    at = list(range(len(seen.inputs.names)))
    span = {
        "lowest": (seen.inputs.low, 2, "dot"), "highest": (seen.inputs.high, 2, "dot"),
        "mean": (seen.inputs.mean, 0, "solid"), "spread": (seen.inputs.std, 1, "solid"),
    }  # fmt: skip
    traces = []
    for name, (values, number, dash) in span.items():
        line = {"color": colour(number), "dash": dash, "width": 1.5}
        trace = _line(name, at, finite(map(float, values)), line)
        traces.append(trace | {"mode": "lines+markers", "text": list(seen.inputs.names)})
    return _figure(traces, "feature", "value", {})


def _curve(name: str, curve: Curve, number: int) -> Figure:
    """Return a curve with no more points than are drawn, the extremes of each stretch kept."""
    import numpy as np

    kept = np.arange(len(curve))
    if len(curve) > POINTS:
        stretches = np.array_split(kept, POINTS // 2)
        ends = [
            {int(each[np.argmin(curve.values[each])]), int(each[np.argmax(curve.values[each])])}
            for each in stretches
        ]
        kept = np.asarray(sorted(place for pair in ends for place in pair))
    line = {"color": colour(number), "width": 2}
    return _line(name, curve.steps[kept].tolist(), finite(curve.values[kept].tolist()), line)


def _medians(curve: Curve, parts: int) -> Curve:
    """Return the medians of stretches, each at the middle of its updates."""
    import numpy as np

    steps = [int(np.median(each)) for each in np.array_split(curve.steps, parts)]
    return type(curve).of(curve.medians(parts), steps)


def _line(name: str, x: Iterable, y: Iterable, line: Figure) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": line,
        "hovertemplate": f"%{{x}}: %{{y:.4g}}<extra>{name}</extra>",
    }


def _figure(traces: list[Figure], x: str, y: str, axis: Figure) -> Figure:
    return {
        "data": traces,
        "layout": {
            "xaxis": {"title": {"text": x}},
            "yaxis": {"title": {"text": y}} | axis,
            "height": HEIGHT,
        },
    }


FIGURES: Mapping[str, Callable[[Evidence], Figure | None]] = {
    "losses": losses,
    "rates": rates,
    "activity": activity,
    "histograms": histograms,
    "gradients": gradients,
    "updates": updates,
    "spectrum": spectrum,
    "slice": loss_slice,
    "inputs": inputs,
}
