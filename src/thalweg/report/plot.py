"""Draws schedules: in the terminal in dots, or as a figure on a page that needs no network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from rich.console import RenderableType

from thalweg.arguments import check_count
from thalweg.errors import BadType
from thalweg.report.dots import Dots
from thalweg.report.figure import Figure, colour, finite
from thalweg.report.file import check_path, write
from thalweg.report.frame import framed

if TYPE_CHECKING:
    from thalweg.report.dots import Curve
    from thalweg.schedules import Schedule

ENDLESS = 1000
"""How many updates are drawn of schedules of which none has a horizon."""

LOOKED_AT = 200_000
"""How many updates of a schedule are looked at, spread evenly where there are more."""

KEPT = 10_000
"""How many points of a curve are kept, the lowest and the highest of each stretch."""


@overload
def plot(
    schedule: Schedule | Mapping[str, Schedule], path: None = None, *, steps: int | None = None
) -> RenderableType: ...
@overload
def plot(
    schedule: Schedule | Mapping[str, Schedule],
    path: str | os.PathLike[str],
    *,
    steps: int | None = None,
) -> Path: ...


def plot(
    schedule: Schedule | Mapping[str, Schedule],
    path: str | os.PathLike[str] | None = None,
    *,
    steps: int | None = None,
) -> RenderableType | Path:
    """Draw the value of *schedule* against the update, or those of several by name.

    Without a path, return what rich prints: ``rich.print(plot(cosine(0.3, steps=100)))``. With one,
    write a page with the figure there, replacing what is there, and return its place.

    *steps* is how many updates are drawn: by default the longest horizon, or the first 1,000
    updates if there is none. Every lane is a curve. Raises BadType or BadValue for what cannot be
    drawn, BadFile where the page cannot be written.
    """
    named = _named(schedule)
    length = _length(named, steps)
    axis = _axis(named, length, chosen=steps is not None)
    if path is None:
        return Dots(dict(_curves(named, length)), axis)
    place = check_path(path)
    return write(place, _page(_figure(named, length, axis)))


def _named(schedule: Any) -> Mapping[str, Schedule]:
    from thalweg.schedules import Schedule

    named = schedule if isinstance(schedule, Mapping) else {"": schedule}
    wrong = [each for each in named.values() if not isinstance(each, Schedule)]
    if wrong or not named:
        raise BadType(
            f"plot() takes a schedule such as cosine(0.3, steps=100), or a dict of some by name, "
            f"not {wrong[0] if wrong else schedule!r}."
        )
    return named


def _length(named: Mapping[str, Schedule], steps: int | None) -> int:
    if steps is None:
        return max((each.horizon for each in named.values() if each.horizon), default=ENDLESS)
    check_count("steps", steps)
    return steps


def _axis(named: Mapping[str, Schedule], length: int, chosen: bool) -> str:
    """Return what stands below the drawing; it tells where a schedule goes on beyond it."""
    if chosen or any(each.horizon for each in named.values()):
        return "updates made before, k"
    return f"updates made before, k: the first {length:,} of a schedule without end"


def _curves(named: Mapping[str, Schedule], length: int) -> list[tuple[str, Curve]]:
    """Return by name which updates are drawn, and the values there; every lane is a curve."""
    import numpy as np

    indices = np.unique(np.linspace(0, length - 1, min(length, LOOKED_AT)).round())
    found = []
    for name, each in named.items():
        values = each(indices).reshape(len(indices), -1)
        for lane, column in enumerate(values.T):
            label = name if each.lanes is None else f"{name} lane {lane}".strip()
            found.append((label, _thinned((indices, column))))
    return found


def _thinned(curve: Curve) -> Curve:
    """Return a curve with no more points than are kept."""
    import numpy as np

    indices, values = curve
    if len(indices) <= KEPT:
        return curve
    stretches = np.array_split(np.arange(len(indices)), KEPT // 2)
    kept = [
        place
        for stretch in stretches
        for place in sorted((stretch[values[stretch].argmin()], stretch[values[stretch].argmax()]))
    ]
    return indices[kept], values[kept]


def _figure(named: Mapping[str, Schedule], length: int, axis: str) -> Figure:
    traces = []
    for number, (name, (indices, values)) in enumerate(_curves(named, length)):
        traces.append(
            {
                "type": "scatter", "mode": "lines", "name": name,
                "x": indices.tolist(), "y": finite(values.tolist()),
                "line": {"color": colour(number), "width": 2},
                "hovertemplate": "update %{x}: %{y:.6g}<extra>" + name + "</extra>",
            }
        )  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": axis}},
        "yaxis": {"title": {"text": "value"}, "exponentformat": "power"},
        "showlegend": len(traces) > 1,
    }
    return {"data": traces, "layout": layout}


def _page(figure: Figure) -> str:
    return framed("plot", {"title": "Schedules"}, {"plot": figure})
