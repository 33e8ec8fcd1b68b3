"""The parameters of a model as one vector, and that vector cut into shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import torch
from torch import Tensor, nn

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.kernels.plan import lower
from thalweg.rules import Rule


@dataclass(frozen=True)
class Layout:
    """Where each trained parameter of a model lies in one vector: names and shapes, in order."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """Return the layout of a model; BadType where its parameters cannot be one vector."""
        named = trained(model)
        if not named:
            raise BadValue(
                "no parameter of the model requires a gradient, so that none can be trained."
            )
        kinds = {(p.dtype, p.device) for p in named.values()}
        if len(kinds) > 1 or not next(iter(kinds))[0].is_floating_point:
            found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
            raise BadType(
                f"the parameters are {found}; expected one real dtype on one device, because a "
                "server holds them as one vector."
            )
        shapes = tuple(tuple(p.shape) for p in named.values())
        return cls(tuple(named), shapes, next(iter(kinds))[0])

    @property
    def ends(self) -> list[int]:
        """Where each parameter ends in the vector."""
        return list(accumulate(prod(shape) for shape in self.shapes))

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.ends[-1]

    def views(self, vector: Tensor) -> list[Tensor]:
        """Return the parameters that lie in a vector, over the same memory."""
        pairs = zip(self.shapes, self.ends, strict=True)
        return [vector[end - prod(shape) : end].view(shape) for shape, end in pairs]

    def pieces(self, part: range) -> Iterator[Piece]:
        """Yield what lies of each parameter in a part of the vector, if anything does."""
        for shape, end in zip(self.shapes, self.ends, strict=True):
            begin, size = end - prod(shape), prod(shape)
            low, high = max(begin, part.start), min(end, part.stop)
            if high > low:
                form = shape if high - low == size else (high - low,)
                yield Piece(low - part.start, high - part.start, form)

    def check_same(self, other: Layout, owner: str) -> None:
        """Raise BadValue unless *other* is of a model with the same parameters."""
        for name, ours, theirs in zip(self.names, self.shapes, other.shapes, strict=False):
            if ours != theirs:
                raise BadValue(
                    f"the model of {owner} differs: its {name!r} has shape {theirs}, the server's "
                    f"has {ours}. Make all models by one function, with the same arguments."
                )
        if self != other:
            raise BadValue(
                f"the model of {owner} differs: it has {len(other.names)} parameters of "
                f"{other.dtype}, the server {len(self.names)} of {self.dtype}, or other names. "
                "Make all models by one function, with the same arguments."
            )


@dataclass(frozen=True)
class Piece:
    """What lies of one parameter in a part of the vector, from *begin* to *end* in that part."""

    begin: int
    end: int
    shape: tuple[int, ...]

    def of(self, part: Tensor) -> Tensor:
        """Return the piece over the memory of the part."""
        return part[self.begin : self.end].view(self.shape)


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that require a gradient, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def vector_of(model: nn.Module) -> Tensor:
    """Return a copy of the trained parameters as one vector."""
    return torch.cat([p.detach().flatten() for p in trained(model).values()])


def finite(vector: Tensor) -> bool:
    """Return whether all elements are finite numbers.

    A finite sum says so at a twentieth of the cost; one that overflows says nothing.
    """
    return bool(vector.sum().isfinite()) or bool(vector.isfinite().all())


def cut(layout: Layout, rule: Rule, shards: int) -> list[range]:
    """Return the parts of the vector that *shards* shards hold under *rule*.

    Rules that work element by element are cut evenly; those that sum over a tensor, or know its
    axes, between tensors. Raises BadValue where a rule needs the whole vector in one place.
    """
    check_count("shards", shards, 1, layout.size)
    plan = lower(rule)
    if shards > 1 and (plan.reads_every_row or plan.draws_noise):
        raise BadValue(
            f"{rule.name} looks at all parameters at once, or draws noise by their place, and "
            f"{shards} shards each see a part. Use one shard, or leave that transform out."
        )
    places = [layout.size * k // shards for k in range(1, shards)]
    if plan.sums or plan.needs_shapes:
        places = _between_tensors(layout, rule, places)
    return [range(a, b) for a, b in zip([0, *places], [*places, layout.size], strict=True)]


def _between_tensors(layout: Layout, rule: Rule, places: list[int]) -> list[int]:
    """Move each place to the nearest border of two tensors that leaves one for those after it."""
    borders = layout.ends[:-1]
    if len(borders) < len(places):
        raise BadValue(
            f"{rule.name} sums over whole tensors, of which this model has {len(layout.shapes)}, "
            f"too few for {len(places) + 1} shards. Use at most as many shards as tensors."
        )
    moved: list[int] = []
    for left, place in zip(reversed(range(len(places))), places, strict=True):
        free = [border for border in borders if border > max(moved, default=0)]
        moved.append(min(free[: len(free) - left], key=lambda border: abs(border - place)))
    return moved
