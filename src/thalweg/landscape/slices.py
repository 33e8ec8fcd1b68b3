"""A cut through the loss along one or two directions, and where a training went on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue
from thalweg.landscape.layout import Layout
from thalweg.landscape.objective import Objective
from thalweg.landscape.operator import GIBIBYTE, check_fits

Reach: TypeAlias = tuple[float, float]
"""From where to where along a direction, in its own lengths."""

_NORMALIZATIONS = (
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm,
)  # fmt: skip
_VANISHING = 1e-10


@final
@dataclass(frozen=True, eq=False)
class Slice:
    """The losses at ``origin + a * directions[0] + b * directions[1]``.

    ``directions`` are (1, size) or (2, size). ``places`` has the coordinates (points,) along each,
    and ``losses`` (points,) or (points, points) belongs to them, the first direction first. Where
    the loss overflows it is infinite or NaN.
    """

    origin: Tensor
    directions: Tensor
    places: tuple[Tensor, ...]
    losses: Tensor


@final
@dataclass(frozen=True, eq=False)
class Trajectory:
    """A training's way, seen from one or two *directions* (count, size) through *origin* (size,).

    ``projections`` (steps, count) are the coordinates of the nearest points of the plane, and
    ``distances`` (steps,) how far off it the weights were. ``explained`` (count,) is which share of
    the variance over the way each direction adds. ``within`` is the share of the squared distances
    from the origin that lies in the plane: where it is small, the picture shows little of the way.
    """

    origin: Tensor
    directions: Tensor
    projections: Tensor
    distances: Tensor
    explained: Tensor
    within: float

    def reach(self, margin: float = 0.2) -> list[Reach]:
        """Return from where to where the way goes along each direction, and a *margin* more."""
        check_number("margin", margin, 0)
        ends = [(min(0.0, float(each.min())), float(each.max())) for each in self.projections.T]
        spans = [(low, max(0.0, high)) for low, high in ends]
        return [(low - margin * (high - low), high + margin * (high - low)) for low, high in spans]


def random_directions(
    objective: Objective, count: int = 2, *, point: Tensor | None = None, seed: int = 0
) -> Tensor:
    """Return *count* filter-normalized random directions (count, size), drawn from *seed*.

    Each filter of a direction, a row along the first axis of a weight, has the norm of the same
    filter of the weights at *point*, so that a slice looks the same however a network that is
    indifferent to it scales its weights. Biases and the parameters of normalization layers, and all
    else with fewer than two axes, are zero. The vector of a plain function is one filter. Source:
    Li et al., Visualizing the loss landscape of neural nets, 2018. Raises BadValue where nothing is
    left to move.
    """
    check_count("count", count, 1, 2)
    weights = objective.at(point)
    objective.layout.check(weights, finite=True)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, objective.size, generator=generator, dtype=torch.float64)
    return torch.stack([_normalized(objective, each.to(weights), weights) for each in drawn])


def filter_normalized(
    objective: Objective, direction: Tensor, *, point: Tensor | None = None
) -> Tensor:
    """Return a *direction* (size,), such as a gradient, filter-normalized at *point*.

    As `random_directions` says; a filter in which it is zero stands still. Raises BadValue where
    nothing is left to move.
    """
    weights = objective.at(point)
    objective.layout.check(weights, finite=True)
    objective.layout.check(direction, "direction", finite=True)
    return _normalized(objective, direction.detach().to(weights), weights)


def _normalized(objective: Objective, direction: Tensor, weights: Tensor) -> Tensor:
    drawn, held = objective.layout.split(direction), objective.layout.split(weights)
    still = _of_normalizations(objective.model)
    filters = {
        name: torch.zeros_like(each)
        if objective.model is not None and (each.ndim < 2 or name in still)
        else _scaled(each, held[name])
        for name, each in drawn.items()
    }
    found = objective.layout.join(filters)
    if not found.any():
        raise BadValue(
            "a filter-normalized direction is zero: it was, the weights are, or there are only "
            "biases and parameters of normalization layers. Give directions of your own to "
            "loss_slice."
        )
    return found


def _of_normalizations(model: nn.Module | None) -> set[str]:
    return {
        f"{name}.{own}".lstrip(".")
        for name, module in ([] if model is None else model.named_modules())
        if isinstance(module, _NORMALIZATIONS)
        for own, _ in module.named_parameters(recurse=False)
    }


def _scaled(direction: Tensor, weights: Tensor) -> Tensor:
    """Return *direction* with each filter as long as that of *weights*."""
    rows = len(weights) if weights.ndim > 1 else 1
    shape = (rows, prod(weights.shape) // max(rows, 1))
    drawn, held = direction.reshape(shape), weights.reshape(shape)
    lengths = drawn.norm(dim=1)
    factors = torch.where(lengths > 0, held.norm(dim=1) / lengths, 0.0)
    return (drawn * factors.unsqueeze(1)).view_as(weights)


def loss_slice(
    objective: Objective, directions: Tensor, *, origin: Tensor | None = None,
    reach: Reach | Sequence[Reach] = (-1.0, 1.0), points: int = 21,
) -> Slice:  # fmt: skip
    """Return the loss on *points* evenly spaced places along one direction, or on a grid of two.

    *directions* are (count, size), or one vector (size,), from `random_directions`, a
    `trajectory`'s, or any others; *reach* says from where to where, for both or for each. Through
    *origin*, where the model stood unless given. Costs ``points ** count`` losses, and no gradient.
    Raises BadType and BadValue for what is no direction.
    """
    check_count("points", points, 2)
    through = objective.at(origin)
    objective.layout.check(through, "origin", finite=True)
    along = _directions(objective.layout, directions).to(through)
    places = tuple(_spread(*ends, points) for ends in _ends(reach, len(along)))
    grid = torch.cartesian_prod(*places).view(-1, len(along))
    losses = [objective(through + each.to(through) @ along) for each in grid]
    shaped = torch.tensor(losses, dtype=torch.float64).view((points,) * len(along))
    return Slice(through, along, places, shaped)


def _spread(low: float, high: float, points: int) -> Tensor:
    """Return so many evenly spaced places; that in the middle has no rounding."""
    places = torch.linspace(low, high, points, dtype=torch.float64)
    if points % 2:
        places[points // 2] = (low + high) / 2
    return places


def trajectory(
    points: Tensor | Sequence[Tensor], directions: Tensor | None = None, *, count: int = 2,
    memory: float = 4 * GIBIBYTE,
) -> Trajectory:  # fmt: skip
    """Return the way through *points* (steps, size), flat vectors of weights, as a plane shows it.

    The plane goes through the last of them. It is spanned by *directions* where they are given,
    else by the *count* principal directions, along which the points vary most; the first point then
    has no negative coordinate. In many dimensions, random directions show next to nothing of a way:
    see ``within``. Source: Li et al. 2018, section 7.

    Raises BadValue for fewer than two different points, points that are not finite, fewer
    directions than asked for, and where a copy in float64 would exceed *memory* bytes.
    """
    check_count("count", count, 1, 2)
    way, layout = _way(points, memory)
    moves = way - way[-1]
    if directions is None:
        along = _principal(moves, count)
    else:
        along = _directions(layout, directions).to(moves)
    basis, corner = torch.linalg.qr(along.T)
    inside, spread = moves @ basis, moves - moves.mean(0)
    outside = moves - inside @ basis.T
    return Trajectory(
        way[-1],
        along,
        torch.linalg.solve_triangular(corner, inside.T, upper=True).T,
        outside.norm(dim=1),
        (spread @ basis).square().sum(0) / spread.square().sum(),
        float(inside.square().sum() / moves.square().sum()),
    )


def _way(points: Any, memory: float) -> tuple[Tensor, Layout]:
    found = list(points)
    if not found:
        raise BadValue("the trajectory is empty; give at least two flat vectors of weights.")
    if not all(isinstance(each, Tensor) and each.ndim == 1 for each in found):
        raise BadType("the points of a trajectory should be flat vectors, tensors (size,).")
    layout = Layout({"point": tuple(found[0].shape)})
    needed = 3 * len(found) * layout.size * 8
    check_fits(f"a trajectory of {len(found)} points of {layout.size:,} numbers", needed, memory)
    for step, each in enumerate(found):
        layout.check(each, f"point {step} of the trajectory", finite=True)
    way = torch.stack([each.detach().double() for each in found])
    if bool((way == way[-1]).all()):
        raise BadValue(
            f"the trajectory has {len(found)} points and does not move; expected at least two "
            "different points."
        )
    return way, layout


def _principal(moves: Tensor, count: int) -> Tensor:
    _, sizes, directions = torch.linalg.svd(moves - moves.mean(0), full_matrices=False)
    spanned = int((sizes > _VANISHING * sizes[0]).sum())
    if spanned < count:
        raise BadValue(
            "the trajectory lies on a line, so it has no second principal direction. Ask for "
            "count=1, or give directions."
        )
    found = directions[:count]
    return torch.where(found @ moves[0] < 0, -1.0, 1.0).to(found).unsqueeze(1) * found


def _directions(layout: Layout, given: Any) -> Tensor:
    rows = given.unsqueeze(0) if isinstance(given, Tensor) and given.ndim == 1 else given
    if not isinstance(rows, Tensor) or rows.ndim != 2 or len(rows) not in (1, 2):
        raise BadType("directions should be a tensor (size,), (1, size) or (2, size).")
    for number, each in enumerate(rows):
        layout.check(each, f"direction {number}", finite=True)
    if torch.linalg.matrix_rank(rows.detach().double()) < len(rows):
        raise BadValue("a direction is zero, or both are the same up to a factor.")
    return rows.detach()


def _ends(reach: Any, count: int) -> list[Reach]:
    several = bool(reach) and isinstance(reach[0], (tuple, list))
    pairs = list(reach) if several else [reach] * count
    if len(pairs) != count or any(len(pair) != 2 for pair in pairs):
        raise BadValue(
            f"reach={reach!r}; expected a lower and a higher end, or such a pair for each of "
            f"{count} directions."
        )
    for low, high in pairs:
        check_number("reach", low)
        check_number("reach", high)
        if low >= high:
            raise BadValue(f"reach goes from {low} to {high}; expected a lower and a higher end.")
    return pairs
