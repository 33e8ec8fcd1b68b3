"""The model's inputs feature by feature, gathered over all batches that were looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from thalweg.doctor.evidence import Inputs
from thalweg.doctor.watching import measure


class Features:
    """Count, mean, spread and range of each feature of the first floating-point input."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: Tensor | None = None
        self._range: Tensor | None = None
        self._noun = "feature"

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Take in the inputs of one pass; those without floating-point numbers say nothing."""
        batch = next((each for each in tensors if each.is_floating_point() and each.ndim > 1), None)
        if batch is None or not batch.numel():
            return
        rows = batch.detach().movedim(measure.unit_dimension(batch), -1).flatten(0, -2)
        wide = rows if rows.device.type == "mps" else rows.double()
        sums = torch.stack([wide.sum(0), (wide * wide).sum(0)])
        ends = torch.stack([wide.amin(0), -wide.amax(0)])
        if self._sums is None or self._range is None:
            self._sums, self._range = sums, ends
        elif sums.shape == self._sums.shape:
            self._sums, self._range = self._sums + sums, torch.minimum(self._range, ends)
        else:
            return
        self._count += len(rows)
        self._noun = "channel" if batch.ndim in (4, 5) else "feature"

    def inputs(self) -> Inputs | None:
        """Return what was gathered, None where there was nothing."""
        if self._sums is None or self._range is None:
            return None
        total, squares = self._sums.cpu().numpy() / self._count
        low, high = self._range.cpu().numpy()
        names = [f"{self._noun} {k}" for k in range(len(total))]
        spread = (squares - total**2).clip(min=0) ** 0.5
        return Inputs(names, total, spread, low, -high, self._count)


def tensors_in(*values: Any) -> list[Tensor]:
    """Return the tensors in arguments of any nesting, in their order."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, Mapping):
            found += tensors_in(*value.values())
        elif isinstance(value, (tuple, list)):
            found += tensors_in(*value)
    return found
