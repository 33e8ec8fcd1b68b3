"""What was measured of an update as tensors is fetched at once and becomes a probe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.doctor.evidence import LayerProbe, ParameterProbe, Probe

Found = Mapping[str, dict[str, Any]]


def read_probe(step: int, parameters: Found, layers: Found, whole: dict[str, Any]) -> Probe:
    """Return the probe of an update from what was measured of it."""
    rows = fetch([*parameters.values(), *layers.values(), whole])
    heads, tails = rows[: len(parameters)], rows[len(parameters) : -1]
    return Probe(
        step,
        {name: _parameter(each) for name, each in zip(parameters, heads, strict=True)},
        {name: _layer(each) for name, each in zip(layers, tails, strict=True)},
        **rows[-1],
    )


def fetch(measured: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return measurements with numbers in place of tensors of one number, fetched at once."""
    rows = [dict(each) for each in measured]
    places = [(row, key) for row in rows for key, value in row.items() if _is_scalar(value)]
    if places:
        stacked = torch.stack([row[key].double() for row, key in places])
        for (row, key), value in zip(places, stacked.tolist(), strict=True):
            row[key] = value
    return rows


def _is_scalar(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 0


def _parameter(found: dict[str, Any]) -> ParameterProbe:
    for key in ("finite", "weight_finite"):
        found[key] = bool(found.get(key, True))
    if "distinct" in found:
        found["distinct"] = int(found["distinct"])
    return ParameterProbe(**found)


def _layer(found: dict[str, Any]) -> LayerProbe:
    low, high = found.pop("low"), found.pop("high")
    counts = found.pop("counts")
    flags: dict[str, Any] = {key: bool(found.pop(key)) for key in ("finite", "inputs_finite")}
    heights = tuple(int(each) for each in counts)
    width = (high - low) / max(len(heights), 1)
    edges = tuple(low + k * width for k in range(len(heights) + 1))
    return LayerProbe(**found, **flags, counts=heights, edges=edges)
