"""The curvature at the end of a run: its ends, what lies between, and the stable learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any, TypeVar, final

import torch
from torch import Tensor

from thalweg.doctor.evidence import Curvature
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock, Refused
from thalweg.errors import ThalwegError
from thalweg.landscape import Hessian, Operator, density, extremes, preconditioned, stable_rate

Number = TypeVar("Number")

RECORD = 3.0
"""What recording a gradient and a first product with the Hessian cost, in gradients."""

WANTED, ENOUGH = 30, 12
"""So many products go into each end of a spectrum, if there is time, and so many at least."""

NOTHING = 1e-6
"""Eigenvalues below this share of the largest count as none."""


def curvature(case: Case, clock: Clock) -> Curvature:
    """Return the curvature over as many of the batches as there is time for.

    Raises Refused where there is no time for one.
    """
    clock.afford(RECORD)
    product = _time_a_product(case.only(case.passes[-1:]), clock)
    clock.afford_seconds(2 * ENOUGH * product)
    affordable = clock.left / product
    batches = int(min(max(affordable // (4 * WANTED), 1), len(case.passes)))
    products = int(min(max(affordable / batches / 4, ENOUGH), WANTED))
    return _measured(case.only(case.passes[-batches:]), clock, products)


def _time_a_product(case: Case, clock: Clock) -> float:
    """Return the seconds of a product over one batch, by the better of two."""
    hessian = Hessian(case.objective())
    direction = torch.ones(hessian.size, dtype=hessian.dtype, device=hessian.device)
    times = []
    for _ in range(2):
        begun = clock.spent
        hessian.product(direction)
        times.append(clock.spent - begun)
    return min(times)


@final
class Limited(Operator):
    """A Hessian whose products are refused when the time is over."""

    def __init__(self, hessian: Hessian, clock: Clock) -> None:
        self._hessian, self._clock = hessian, clock
        self.objective, self.size = hessian.objective, hessian.size
        self.dtype, self.device = hessian.dtype, hessian.device

    def product(self, vector: Tensor) -> Tensor:
        """Return the product with *vector* (size,), or raise Refused."""
        if self._clock.over:
            raise Refused(f"at_exit={self._clock.seconds:g} s were over before it was done")
        return self._hessian.product(vector)


def _measured(case: Case, clock: Clock, products: int) -> Curvature:
    recorded = Hessian(case.objective())
    hessian: Any = Limited(recorded, clock)
    ends = extremes(hessian, products=products)
    top, bottom = ends.largest[0], ends.smallest[0]
    stable = _tried(lambda: _stable(case, hessian, products)) or (0.0, math.inf)
    spectrum = _tried(lambda: _spectrum(hessian, products)) or []
    return Curvature(
        case.step, top.value, bottom.value, top.residual, stable,
        _quantile(spectrum, top.value), _tried(lambda: _preconditioned(case, hessian, products)),
        float(recorded.gradient().norm()), spectrum,
    )  # fmt: skip


def _tried(measured: Callable[[], Number]) -> Number | None:
    """Return what is measured, None where the rule has no such number or the time is over."""
    try:
        return measured()
    except (Refused, ThalwegError):
        return None


def _stable(case: Case, hessian: Any, products: int) -> tuple[float, float]:
    found = stable_rate(hessian, case.optimizer, products=products)
    return found.low, found.high


def _spectrum(hessian: Any, products: int) -> list[tuple[float, float]]:
    """Return eigenvalues, or points that stand for them, and the share that each stands for."""
    if hessian.size <= products:
        values = torch.linalg.eigvalsh(hessian.dense().double()).cpu()
        return [(float(each), 1 / len(values)) for each in values]
    found = density(hessian, probes=2, steps=products // 2)
    values, weights = torch.cat(found.nodes), torch.cat(found.weights)
    return sorted(zip(values.tolist(), (weights / weights.sum()).tolist(), strict=True))


def _quantile(spectrum: list[tuple[float, float]], largest: float) -> float | None:
    """Return the positive eigenvalue that nine tenths of the positive ones lie above."""
    positive = [each for each in spectrum if each[0] > NOTHING * largest]
    if largest <= 0 or not positive:
        return None
    reached = accumulate(share for _, share in positive)
    whole = sum(share for _, share in positive)
    return next(
        each[0] for each, below in zip(positive, reached, strict=True) if below >= 0.1 * whole
    )


def _preconditioned(case: Case, hessian: Any, products: int) -> float:
    scaled = preconditioned(hessian, case.optimizer)
    found = extremes(scaled, largest=1, smallest=0, products=products)
    return found.largest[0].value
