"""Surfaces to walk on: plain functions of a point, with all that is known of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from thalweg.errors import BadType, BadValue, UnknownName, nearest
from thalweg.problems.problem import Problem, Split

if TYPE_CHECKING:
    from torch import Tensor, nn

Point: TypeAlias = tuple[float, ...]
Kind: TypeAlias = Literal["minimum", "maximum", "saddle", "degenerate"]


@dataclass(frozen=True)
class Critical:
    """A place where the gradient is zero, and what the signs of its Hessian's spectrum say.

    All positive make a minimum, all negative a maximum, both signs a saddle; with a zero among them
    and no two signs opposed the point is degenerate: second derivatives do not decide.
    """

    point: Point
    kind: Kind
    value: float


@dataclass(frozen=True, eq=False)
class Surface:
    """A function of points (..., coordinates) to values (...), differentiable and vectorized.

    ``start`` is where descent usually begins. ``optimum`` and ``value_at_optimum`` are None where
    the function has no lower bound. ``known`` may hold ``L`` and ``mu``, the largest and smallest
    curvature anywhere along the surface (absolute for ``L``), and ``condition``, their ratio;
    ``spectrum`` is the Hessian's, ascending, where it is the same everywhere. ``critical`` lists
    points of interest, not necessarily all. ``steps`` is a budget that shows what it is like.
    """

    name: str
    description: str
    function: Callable[[Tensor], Tensor]
    start: Point
    optimum: Point | None = None
    value_at_optimum: float | None = None
    known: Mapping[str, float] = field(default_factory=dict)
    spectrum: Point = ()
    critical: tuple[Critical, ...] = ()
    steps: int = 200

    def __call__(self, points: Tensor) -> Tensor:
        """Return the value at each of the ``points`` (..., coordinates)."""
        return self.function(points)


def quadratic(spectrum: Sequence[float], start: Sequence[float] | None = None) -> Surface:
    """Return the quadratic with this Hessian spectrum along the axes, zero at its critical point.

    ``start`` is one in each coordinate unless given. Raises BadValue for an empty or non-finite
    spectrum and for a start of another length, BadType for what is no sequence of numbers.
    """
    values = _numbers("spectrum", spectrum)
    begin = _numbers("start", start) if start is not None else (1.0,) * len(values)
    if len(begin) != len(values):
        raise BadValue(f"start has {len(begin)} coordinates, the spectrum {len(values)} values.")
    low, high, largest = min(values), max(values), max(map(abs, values))
    origin = (0.0,) * len(values)
    return Surface(
        name="quadratic",
        description=f"Quadratic in {len(values)} dimensions, curvatures {low:g} to {high:g}",
        function=partial(_quadratic, spectrum=values),
        start=begin,
        optimum=origin if low >= 0 else None,
        value_at_optimum=0.0 if low >= 0 else None,
        known={"L": largest, **({"mu": low, "condition": high / low} if low > 0 else {})},
        spectrum=tuple(sorted(values)),
        critical=(Critical(origin, _kind(values), 0.0),),
    )


def ravine(condition: float = 100.0) -> Surface:
    """Return the ravine: a quadratic in two dimensions with curvatures 1 and ``condition``."""
    return _named(
        quadratic((1.0, condition), start=(-10.0, 1.0)),
        "ravine",
        f"A narrow ravine: a quadratic with curvatures 1 and {condition:g}",
    )


def as_problem(surface: Surface) -> Problem:
    """Return the descent of ``surface`` as a Problem: one step an epoch, the point is the model.

    There is nothing to learn from, so the training set is one empty example, and no validation or
    test set exists. Every seed starts where the surface says.
    """
    import torch

    nothing = torch.zeros(1, 1)
    return Problem(
        name=surface.name,
        description=surface.description,
        make_model=partial(_walker, surface),
        train=Split(nothing, nothing),
        validation=None,
        test=None,
        loss=_height,
        batch_size="all",
        epochs=surface.steps,
        known={"parameters": len(surface.start), **surface.known},
        threads=1,
    )


def find(name: str) -> Surface:
    """Return the surface called ``name``, or raise UnknownName."""
    if name not in catalogue:
        known = ", ".join(catalogue)
        raise UnknownName(
            f"there is no surface {name!r}.{nearest(name, catalogue)} Known surfaces: {known}."
        )
    return catalogue[name]


def _walker(surface: Surface, seed: int) -> nn.Module:
    from thalweg.problems.walker import Walker

    return Walker(surface)


def _height(output: Tensor, targets: Tensor) -> Tensor:
    return output.mean()


def _numbers(name: str, given: Sequence[float]) -> Point:
    try:
        values = tuple(float(value) for value in given)
    except (TypeError, ValueError) as error:
        raise BadType(f"{name} should be a sequence of numbers, got {given!r}.") from error
    if not values or not all(map(math.isfinite, values)):
        raise BadValue(f"{name} should be one or more finite numbers, got {given!r}.")
    return values


def _kind(spectrum: Sequence[float]) -> Kind:
    low, high = min(spectrum), max(spectrum)
    if low < 0 < high:
        return "saddle"
    if low > 0:
        return "minimum"
    return "maximum" if high < 0 else "degenerate"


def _named(surface: Surface, name: str, description: str) -> Surface:
    return replace(surface, name=name, description=description)


def _quadratic(points: Tensor, spectrum: Point) -> Tensor:
    curvatures = points.new_tensor(spectrum)
    return (curvatures * points * points).sum(-1) / 2


def _beale(points: Tensor) -> Tensor:
    x, y = points.unbind(-1)
    first, second, third = (target - x + x * y**k for k, target in enumerate((1.5, 2.25, 2.625), 1))
    return first**2 + second**2 + third**2


def _monkey_saddle(points: Tensor) -> Tensor:
    x, y = points.unbind(-1)
    return x**3 - 3 * x * y**2


def _rosenbrock(points: Tensor) -> Tensor:
    x, y = points.unbind(-1)
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _rastrigin(points: Tensor) -> Tensor:
    waves = points**2 - 10 * (2 * math.pi * points).cos()
    return 10 * points.shape[-1] + waves.sum(-1)


def _plateau(points: Tensor) -> Tensor:
    weight, bias = points.unbind(-1)
    high, low = (weight + bias).sigmoid(), (bias - weight).sigmoid()
    return ((high - 0.9) ** 2 + (low - 0.1) ** 2) / 2


_TOP, _DENT = 0.5025460365546747, 0.9949586376523348

catalogue: dict[str, Surface] = {
    "ravine": ravine(),
    "saddle": _named(quadratic((2.0, -2.0), start=(-2.0, 1e-3)), "saddle", "x² − y², a saddle"),
    "steep_saddle": _named(
        quadratic((10.0, -2.0), start=(-2.0, 1e-3)), "steep_saddle", "5x² − y², a steeper saddle"
    ),
    "monkey_saddle": Surface(
        name="monkey_saddle",
        description="x³ − 3xy², a saddle with a third way down, for the tail",
        function=_monkey_saddle,
        start=(1.0, 1e-3),
        critical=(Critical((0.0, 0.0), "degenerate", 0.0),),
    ),
    "beale": Surface(
        name="beale",
        description="Beale's function: flat ground between steep corners",
        function=_beale,
        start=(1.0, 1.5),
        optimum=(3.0, 0.5),
        value_at_optimum=0.0,
        critical=(
            Critical((3.0, 0.5), "minimum", 0.0),
            Critical((0.0, 1.0), "saddle", 14.203125),
        ),
    ),
    "rosenbrock": Surface(
        name="rosenbrock",
        description="Rosenbrock's function: a curved valley with a nearly flat floor",
        function=_rosenbrock,
        start=(-1.2, 1.0),
        optimum=(1.0, 1.0),
        value_at_optimum=0.0,
        critical=(Critical((1.0, 1.0), "minimum", 0.0),),
        steps=1000,
    ),
    "rastrigin": Surface(
        name="rastrigin",
        description="Rastrigin's function: a bowl full of dents",
        function=_rastrigin,
        start=(2.2, -1.3),
        optimum=(0.0, 0.0),
        value_at_optimum=0.0,
        known={"L": 2 + 40 * math.pi**2},
        critical=(
            Critical((0.0, 0.0), "minimum", 0.0),
            Critical((_DENT, 0.0), "minimum", 0.9949590570932898),
            Critical((_TOP, 0.0), "saddle", 20.251272990990113),
            Critical((_TOP, _TOP), "maximum", 40.50254598198023),
        ),
    ),
    "plateau": Surface(
        name="plateau",
        description="A logistic unit fitted by least squares: far from its targets it lies flat",
        function=_plateau,
        start=(-6.0, 1.0),
        optimum=(math.log(9), 0.0),
        value_at_optimum=0.0,
        critical=(Critical((math.log(9), 0.0), "minimum", 0.0),),
        steps=1000,
    ),
}
