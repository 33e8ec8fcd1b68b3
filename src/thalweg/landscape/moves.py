"""Where to move on the quadratic around a point, for any damping: two ways to solve for it."""

from abc import ABC, abstractmethod
from math import isfinite
from typing import NamedTuple, final

import torch
from torch import Tensor

from thalweg.errors import BadValue
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.lanczos import Lanczos


class Proposal(NamedTuple):
    """A move, None where there is none, the fall it promises, and the damping to try next."""

    move: Tensor | None
    promised: float
    harder: float


class Model(ABC):
    """The quadratic around a state, on which moves are found for any damping."""

    products = 0

    @abstractmethod
    def solve(self, damping: float) -> Proposal:
        """Return the move at this *damping*."""


@final
class Conjugate(Model):
    """Solves (H + damping) move = -gradient by conjugate gradients, for each damping anew."""

    def __init__(self, hessian: Hessian, gradient: Tensor, limit: int, residual: float) -> None:
        self.hessian, self.gradient = hessian, gradient
        self.limit, self.residual = limit, residual

    def solve(self, damping: float) -> Proposal:
        """Return the move, or none where a direction is not curved upwards even so damped."""
        move, rest = torch.zeros_like(self.gradient), -self.gradient
        direction, square = rest, float(rest @ rest)
        goal, fall, curvature = self.residual**2 * square, 0.0, 0.0
        for _ in range(self.limit):
            image = self.hessian @ direction + damping * direction
            self.products += 1
            along, length = float(direction @ image), float(direction @ direction)
            curvature = along / length
            if not isfinite(curvature):
                raise BadValue("a product is not finite; the loss has no curvature at this point.")
            if along <= 0:
                return Proposal(None, 0.0, damping + 2 * (-curvature or square**0.5))
            move = move + square / along * direction
            rest = rest - square / along * image
            fall += square**2 / along / 2
            before, square = square, float(rest @ rest)
            if square <= goal:
                break
            direction = rest + square / before * direction
        promised = fall + damping * float(move @ move) / 2
        return Proposal(move, promised, 1e-3 * curvature)


@final
class Absolute(Model):
    """Takes curvatures by their size, in one Krylov space that serves every damping."""

    def __init__(self, hessian: Hessian, gradient: Tensor, limit: int, memory: float) -> None:
        self.space, self.like = Lanczos(hessian, gradient, limit, memory), gradient
        while not self.space.exhausted:
            self.space.grow()
        self.products = self.space.steps
        self.ritz = self.space.ritz()
        self.slopes = float(gradient.norm()) * self.ritz.coefficients[0]

    def solve(self, damping: float) -> Proposal:
        """Return the move -(|H| + damping)^-1 gradient in the space; no product is needed."""
        sizes = self.ritz.values.abs()
        scale = float(sizes.max()) or float(self.slopes.norm())
        divisors = (sizes + damping).clamp_min(torch.finfo(sizes.dtype).eps * scale)
        lengths = -self.slopes / divisors
        promised = float((-self.slopes * lengths - sizes * lengths.square() / 2).sum())
        found = self.ritz.coefficients @ lengths
        move = float(found.norm()) * self.space.vector(found)
        return Proposal(move.to(self.like), promised, 1e-3 * scale)
