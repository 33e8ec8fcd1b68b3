"""The trace of an operator, from random probes, until its interval is narrow enough."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.errors import UnknownName
from thalweg.landscape.estimate import LEAST, Estimate, check_confidence, half_width
from thalweg.landscape.operator import GIBIBYTE, Operator, check_fits


def trace(
    operator: Operator, *, method: Literal["hutchinson", "hutch++"] = "hutch++",
    tolerance: float = 0.05, confidence: float = 0.95, products: int = 300, seed: int = 0,
) -> Estimate:  # fmt: skip
    """Return the sum of all eigenvalues, with an interval.

    ``hutchinson`` averages v' A v over vectors of random signs (Hutchinson, 1990). ``hutch++``
    spends up to a third of *products* on finding the largest eigenvalues' space, up to a third on
    the exact trace there, and probes only the rest (Meyer et al., Hutch++, 2021): better where few
    eigenvalues make up most of the trace. Probing stops as soon as the half-width
    of the interval is within *tolerance* of the value, or *products* are used up. Because it looks
    at the interval to stop, the interval holds a little less often than *confidence* says.

    Raises BadValue for too few products, UnknownName for another method.
    """
    check_number("tolerance", tolerance, 0)
    check_confidence(confidence)
    check_count("products", products, 2 * LEAST)
    if method not in ("hutchinson", "hutch++"):
        raise UnknownName(f"method={method!r}; expected 'hutchinson' or 'hutch++'.")
    generator = torch.Generator().manual_seed(seed)
    basis = _sketch(operator, products // 3, generator) if method == "hutch++" else None
    inside = _inside(operator, basis)
    known, spent = sum(inside), 2 * len(inside)
    rounding = operator.size * torch.finfo(operator.dtype).eps * max(map(abs, inside), default=0)
    samples: list[float] = []
    while spent + len(samples) < products:
        probe = _outside(signs(operator, generator), basis)
        samples.append(float(probe @ (operator @ probe).to(probe)))
        value = known + sum(samples) / len(samples)
        width = half_width(samples, confidence) if len(samples) >= LEAST else float("inf")
        width += rounding
        if width <= tolerance * abs(value):
            break
    return Estimate(
        value, value - width, value + width, confidence, spent + len(samples),
        width <= tolerance * abs(value),
    )  # fmt: skip


def signs(operator: Operator, generator: torch.Generator) -> Tensor:
    """Return random signs (size,) in float64, drawn on the CPU."""
    drawn = torch.randint(0, 2, (operator.size,), generator=generator).double() * 2 - 1
    return drawn if operator.device.type == "mps" else drawn.to(operator.device)


def _sketch(operator: Operator, columns: int, generator: torch.Generator) -> Tensor:
    """Return orthonormal directions (size, columns) that hold most of the largest eigenvalues."""
    columns = min(columns, operator.size)
    check_fits(
        f"a sketch of {columns} directions of {operator.size:,} numbers",
        2 * columns * operator.size * 8,
        4 * GIBIBYTE,
    )
    images = [(operator @ signs(operator, generator)).double() for _ in range(columns)]
    return torch.linalg.qr(torch.stack(images, 1)).Q


def _inside(operator: Operator, basis: Tensor | None) -> list[float]:
    """Return the parts of the exact trace in the space of *basis*."""
    columns: Iterable[Tensor] = () if basis is None else basis.T
    return [float(column @ (operator @ column).to(column)) for column in columns]


def _outside(probe: Tensor, basis: Tensor | None) -> Tensor:
    return probe if basis is None else probe - basis @ (probe @ basis)
