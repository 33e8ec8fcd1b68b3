"""Newton's method made safe: damped as far as it must be, or turned away from saddles."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from typing import TypeAlias, final

import torch
from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadValue
from thalweg.landscape.extremes import extremes
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.moves import Absolute, Conjugate, Model
from thalweg.landscape.objective import Objective
from thalweg.landscape.operator import GIBIBYTE

_RAISE, _LOWER = 4.0, 3.0
_WELL, _BARELY = 0.75, 1e-4
_TRIES = 60


@final
@dataclass(frozen=True, eq=False)
class NewtonState:
    """Where a descent stands after ``step`` steps, and what it has cost up to here.

    ``damping`` is what the next step begins with. A step takes two ``gradients``, one of them
    recorded for its ``products``, and a loss for each length of step that was tried.
    """

    step: int
    point: Tensor
    loss: float
    gradient: Tensor
    damping: float
    losses: int = 1
    gradients: int = 1
    products: int = 0

    @property
    def gradient_norm(self) -> float:
        """The length of the gradient, zero at critical points."""
        return float(self.gradient.norm())


def damped_newton(
    objective: Objective, start: Tensor | None = None, *, steps: int = 50, damping: float = 0.0,
    products: int = 50, residual: float = 0.1, tolerance: float = 1e-6,
) -> Iterator[NewtonState]:  # fmt: skip
    """Yield where Newton's method stands, from *start* on, where the model stood unless given.

    Each move solves (H + damping) move = -gradient by conjugate gradients, until what is left is
    *residual* of the gradient or *products* are used up. The damping is Levenberg's and
    Marquardt's: raised where the matrix is not positive or the loss does not fall, lowered where it
    falls as predicted. It ends after *steps*, where the gradient is *tolerance* of the first, or
    where nothing lowers the loss. Source: Nocedal and Wright, Numerical optimization, 2006,
    chapters 4 and 7. Keeps a few vectors, and in each state its point.

    Raises BadValue for a start that is not finite, and as `Hessian` does.
    """
    check_number("residual", residual, 0, 1)
    first = _first(objective, start, steps, damping, products, tolerance)
    return _walk(objective, first, partial(Conjugate, limit=products, residual=residual),
                 _stay, steps, tolerance)  # fmt: skip


def saddle_free_newton(
    objective: Objective, start: Tensor | None = None, *, steps: int = 50, damping: float = 0.0,
    products: int = 20, tolerance: float = 1e-6, seed: int = 0, memory: float = 4 * GIBIBYTE,
) -> Iterator[NewtonState]:  # fmt: skip
    """Yield where saddle-free Newton stands: curvatures count by their size, so saddles repel.

    A move is -(|H| + damping)^-1 gradient in the Krylov space that Lanczos spans from the gradient
    with *products*; the damping is adapted as in `damped_newton`. At a critical point it looks for
    negative curvature with as many products from *seed*, and goes down along it; a saddle whose
    second derivatives are zero is not told from a minimum. Source: Dauphin et al., Identifying and
    attacking the saddle point problem in high-dimensional non-convex optimization, 2014.

    Raises BadValue as `damped_newton` does, and where the space exceeds *memory* bytes.
    """
    first = _first(objective, start, steps, damping, products, tolerance)
    leave = partial(_downwards, products=max(products, 3), seed=seed, memory=memory)
    return _walk(objective, first, partial(Absolute, limit=products, memory=memory),
                 leave, steps, tolerance)  # fmt: skip


Around: TypeAlias = Callable[[Hessian, Tensor], Model]
Leave: TypeAlias = Callable[[Objective, NewtonState], NewtonState | None]


def _first(
    objective: Objective, start: Tensor | None, steps: int, damping: float, products: int,
    tolerance: float,
) -> NewtonState:  # fmt: skip
    for name, count in (("steps", steps), ("products", products)):
        check_count(name, count)
    for name, number in (("damping", damping), ("tolerance", tolerance)):
        check_number(name, number, 0)
    point = objective.at(start)
    objective.layout.check(point, "start", finite=True)
    return NewtonState(0, point, objective(point), _slope(objective, point, 0), float(damping))


def _slope(objective: Objective, point: Tensor, step: int) -> Tensor:
    gradient = objective.gradient(point)
    if not bool(gradient.isfinite().all()):
        where = f"after {step} steps" if step else "at the start"
        raise BadValue(f"the gradient is not finite {where}; the loss has no slope there.")
    return gradient


def _walk(
    objective: Objective, state: NewtonState, around: Around, leave: Leave, steps: int,
    tolerance: float,
) -> Iterator[NewtonState]:  # fmt: skip
    yield state
    goal = tolerance * state.gradient_norm
    for _ in range(steps):
        if state.gradient_norm <= goal:
            following = leave(objective, state)
        else:
            model = around(Hessian(objective, state.point), state.gradient)
            following = _improved(objective, state, model)
        if following is None:
            return
        state = following
        yield state


def _improved(objective: Objective, state: NewtonState, model: Model) -> NewtonState | None:
    """Return the state after a move that lowers the loss; None where no damping makes one."""
    damping, losses = state.damping, 0
    for refused in range(_TRIES):
        move, promised, harder = model.solve(damping)
        if move is not None:
            losses += 1
            loss = objective(state.point + move)
            ratio = _ratio(state, loss, promised)
            if ratio > _BARELY:
                gentler = damping / _LOWER if ratio > _WELL and not refused else damping
                spent = replace(state, products=state.products + model.products)
                return _moved(objective, spent, move, loss, gentler, losses)
        damping = max(_RAISE * damping, harder)
    return None


def _ratio(state: NewtonState, loss: float, promised: float) -> float:
    """Return how much of the promise was kept; of falls too small to be seen, all."""
    if not isfinite(loss):
        return -1.0
    unseen = 10 * torch.finfo(state.point.dtype).eps * abs(state.loss)
    return (state.loss - loss + unseen) / (promised + unseen) if promised + unseen else -1.0


def _moved(
    objective: Objective, state: NewtonState, move: Tensor, loss: float, damping: float, losses: int
) -> NewtonState:
    point, step = state.point + move, state.step + 1
    return NewtonState(
        step, point, loss, _slope(objective, point, step), damping,
        state.losses + losses, state.gradients + 2, state.products,
    )  # fmt: skip


def _stay(objective: Objective, state: NewtonState) -> None:
    """Take a critical point for the end."""


def _downwards(
    objective: Objective, state: NewtonState, products: int, seed: int, memory: float
) -> NewtonState | None:
    """Return a state further down along the most negative curvature; None where there is none."""
    hessian = Hessian(objective, state.point)
    found = extremes(hessian, largest=0, smallest=1, products=products, seed=seed, memory=memory)
    (bottom,), width = found.smallest, max(map(abs, found.seen))
    state = replace(state, products=state.products + found.products)
    if bottom.value >= -max(bottom.residual, torch.finfo(hessian.dtype).eps ** 0.5 * width):
        return None
    direction = bottom.vector.to(state.point)
    length = 0.1 * max(1.0, float(state.point.norm()))
    for tries in range(_TRIES):
        move = length * (-0.5) ** tries * direction
        loss = objective(state.point + move)
        if loss < state.loss:
            return _moved(objective, state, move, loss, state.damping, tries + 1)
    return None
