"""The gradient against the slope of the loss: finite differences in double precision.

A slope is measured at shrinking distances, on both sides. Where the two sides differ however close
they are, the loss has a kink, and any gradient between them is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from thalweg.doctor.evidence import GradientCheck, Mismatch
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock, Refused
from thalweg.doctor.owed.custom import functions_behind, wrong_among
from thalweg.landscape.objective import Objective

DISTANCES = (1e-4, 1e-5, 1e-6)
"""How far along a direction the loss is looked at, as shares of the size of all weights."""

WRONG = 1e-3
"""A relative error above this is a wrong gradient."""

SHARE = 0.4
"""It takes no more than this share of the seconds that are left, other than for what is begun."""

DOUBLE = 3.0
"""What double precision costs, in passes of single precision."""


@final
@dataclass(frozen=True)
class Slope:
    """What finite differences say of the slope along a direction, and what the gradient says."""

    low: float
    high: float
    doubt: float
    gradient: float

    @property
    def size(self) -> float:
        """The larger of the two."""
        return max(abs(self.low + self.high) / 2, abs(self.gradient))

    @property
    def error(self) -> float:
        """How far the gradient is from where the slope may be, relative to their size."""
        away = max(self.low - self.doubt - self.gradient, self.gradient - self.high - self.doubt)
        return max(0.0, away) / self.size if self.size else 0.0

    @property
    def kinked(self) -> bool:
        """Whether the slope cannot be told."""
        return self.high - self.low + 2 * self.doubt > 0.1 * self.size


def check_gradient(case: Case, clock: Clock) -> GradientCheck:
    """Return how the gradient compares on the newest batch, over all parameters and in each.

    Raises Refused where there is no time, or the loss is not finite or not the same twice.
    """
    case = _affordable(case.only(case.passes[-1:]), clock)
    loss = case.objective(torch.float64)
    value = float(loss())
    if not math.isfinite(value):
        raise Refused(f"the loss is {'NaN' if math.isnan(value) else 'infinite'}, and has no slope")
    if value != float(loss()):
        raise Refused("the loss is not the same when it is computed twice")
    gradient = loss.gradient()
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(loss.size, generator=generator, dtype=torch.float64).to(gradient)
    whole = slope_along(loss, gradient, drawn / drawn.norm())
    wrong, right = _by_parameter(loss, gradient, drawn, clock)
    complete = len(wrong) + len(right) == len(loss.layout.split(drawn))
    blamed = _blamed(case, wrong, right) if wrong else {}
    mismatches = [
        Mismatch(name, found.gradient, (found.low + found.high) / 2, blamed.get(name, ""))
        for name, found in wrong.items()
    ]
    return GradientCheck(whole.error, mismatches, whole.kinked, complete)


def _affordable(case: Case, clock: Clock) -> Case:
    """Return the batch, or as small a part of it as there is time for."""
    passes = DOUBLE * (3 + 2 * len(DISTANCES))
    for parts in (1, 4, 16):
        pieces = case.split(parts)
        if len(pieces) == parts and passes / parts * clock.pass_seconds < SHARE * clock.left:
            return pieces[-1]
    clock.afford(passes)
    return case


def slope_along(loss: Objective, gradient: Tensor, direction: Tensor) -> Slope:
    """Return the slope of *loss* where the model stands, along a *direction* of unit length."""
    here, scale = loss(), _scale(loss)
    sides: list[tuple[float, float]] = []
    for distance in DISTANCES:
        step = distance * scale
        ahead = (loss(loss.point + step * direction) - here) / step
        behind = (here - loss(loss.point - step * direction)) / step
        sides.append((min(ahead, behind), max(ahead, behind)))
    rounding = 4e-16 * max(abs(here), 1.0) / step
    return _slope(sides, rounding, float(gradient @ direction))


def _scale(loss: Objective) -> float:
    """Return the norm of all weights, were each parameter's that of the median one, or 1 if less.

    One that is far larger than the others would lead to where these cross kinks.
    """
    norms = [part.norm() for part in loss.layout.split(loss.point).values()]
    return max(float(torch.stack(norms).median()) * len(norms) ** 0.5, 1.0)


def _slope(sides: list[tuple[float, float]], rounding: float, gradient: float) -> Slope:
    """Return what slopes on both sides come to: one number, unless they stay apart."""
    centres = [(low + high) / 2 for low, high in sides]
    doubt = abs(centres[-1] - centres[-2]) + rounding
    gaps = [high - low for low, high in sides]
    if gaps[-1] > max(gaps[-2] / 2, 4 * rounding):
        return Slope(*sides[-1], doubt, gradient)
    return Slope(centres[-1], centres[-1], doubt, gradient)


def _by_parameter(
    loss: Objective, gradient: Tensor, drawn: Tensor, clock: Clock
) -> tuple[dict[str, Slope], list[str]]:
    """Return the parameters whose gradient is wrong, and those whose is right."""
    wrong: dict[str, Slope] = {}
    right: list[str] = []
    beginning = clock.left
    floor = 1e-7 * float(gradient.norm())
    for name, direction in _directions(loss, drawn):
        if clock.left < (1 - SHARE) * beginning:
            break
        found = slope_along(loss, gradient, direction)
        plain = name.removeprefix("model.")
        if found.error > WRONG and found.size > floor:
            wrong[plain] = found
        else:
            right.append(plain)
    return wrong, right


def _directions(loss: Objective, drawn: Tensor) -> Iterable[tuple[str, Tensor]]:
    parts = loss.layout.split(drawn)
    for name in parts:
        alone = {
            key: part if key == name else torch.zeros_like(part) for key, part in parts.items()
        }
        direction = loss.layout.join(alone)
        yield name, direction / direction.norm()


def _blamed(case: Case, wrong: Iterable[str], right: Iterable[str]) -> dict[str, str]:
    """Return the custom function that each wrong gradient comes from, where there is one.

    It is one whose own gradient is wrong; where that cannot be seen, one that is on the way to no
    right gradient.
    """
    behind = functions_behind(case)
    here = {kind for name in wrong for kind in behind.get(name, ())}
    guilty = wrong_among(case, here)
    innocent = {kind for name in right for kind in behind.get(name, ())}
    suspects = guilty or here - innocent or here
    names = {name: [each for each in behind.get(name, ()) if each in suspects] for name in wrong}
    return {name: kinds[0].__name__ for name, kinds in names.items() if kinds}
