"""How a distributed tensor is spread over processes, and the part of it that this one holds."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from thalweg.errors import BadType, BadValue

if TYPE_CHECKING:
    from thalweg.kernels.table import Row


@dataclass(frozen=True)
class Shard:
    """How a tensor of *shape* is spread over the processes of a mesh, in torch's own terms."""

    shape: tuple[int, ...]
    mesh: Any
    placements: tuple[Any, ...]

    def cuts(self) -> tuple[int, ...]:
        """Return the dimensions of the mesh along which processes hold different elements."""
        return tuple(
            dim
            for dim, each in enumerate(self.placements)
            if not each.is_replicate() and self.mesh.size(dim) > 1
        )

    def cuts_units(self) -> bool:
        """Whether processes share slices along the first dimension between them."""
        return any(getattr(self.placements[dim], "dim", 0) != 0 for dim in self.cuts())

    def elements(self, inner: Sequence[int] = ()) -> Tensor:
        """Return the index that each element held here has in the whole tensor, counted in rows.

        *inner* are dimensions that follow those of the tensor and are not spread.
        """
        from torch.distributed.tensor import Replicate, distribute_tensor

        shape = (*self.shape, *inner)
        found = torch.zeros((), dtype=torch.int64, device=self.mesh.device_type)
        for dim, size in enumerate(shape):
            along = [size if k == dim else 1 for k in range(len(shape))]
            own = [p if getattr(p, "dim", None) == dim else Replicate() for p in self.placements]
            places = torch.arange(size, device=found.device).reshape(along)
            held = distribute_tensor(places, self.mesh, own, src_data_rank=None)
            found = found * size + local(held)
        return found


def shard_of(tensor: Tensor) -> Shard | None:
    """Return how *tensor* is spread, or None if it is not a distributed tensor."""
    distributed = sys.modules.get("torch.distributed.tensor")
    if distributed is None or not isinstance(tensor, distributed.DTensor):
        return None
    return Shard(tuple(tensor.shape), tensor.device_mesh, tuple(tensor.placements))


def local(tensor: Tensor) -> Tensor:
    """Return the numbers of a distributed tensor that this process holds, over the same memory."""
    part = tensor._local_tensor  # type: ignore[attr-defined]
    return part if type(part) is Tensor else getattr(part, "wait", part.detach)()


def check_placed_alike(tensor: Tensor, p: Tensor, what: str, pending: bool = False) -> None:
    """Refuse a gradient or state, named by *what*, that is not spread as its parameter *p* is.

    Sums that are *pending* may be let pass: carrying them out spreads them as it should be.
    """
    given, expected = shard_of(tensor), shard_of(p)
    if given == expected or (pending and given and expected and _leads_to(given, expected)):
        return
    raise BadType(
        f"{what} of a parameter of shape {tuple(p.shape)} is {_described(given)}; the parameter "
        f"is {_described(expected)}. Spread both alike, for instance with "
        "torch.distributed.tensor.distribute_tensor or DTensor.redistribute."
    )


def _leads_to(given: Shard, expected: Shard) -> bool:
    pairs = zip(given.placements, expected.placements, strict=False)
    return given.mesh == expected.mesh and all(a == b or a.is_partial() for a, b in pairs)


def _described(shard: Shard | None) -> str:
    if shard is None:
        return "a plain tensor"
    return f"a DTensor placed {shard.placements} on {shard.mesh}"


def completed(rows: "Sequence[Row]", active: "Sequence[Row]", sums: Sequence[Any]) -> list[Any]:
    """Return the sums of *active* rows over all their elements, from those over what is here.

    Every process that holds a part of some of *rows* must call this, at the same time. A process
    where a row is not active takes part with zero.
    """
    known = {id(row): value for row, value in zip(active, sums, strict=True)}
    for (mesh, cuts), members in _spread_alike(rows):
        totals = torch.zeros(len(members), dtype=torch.float64, device=mesh.device_type)
        for place, row in enumerate(members):
            if id(row) in known:
                totals[place] = known[id(row)]
        for dim in cuts:
            dist.all_reduce(totals, group=mesh.get_group(dim))
        known |= {
            id(row): total.to(row.parameter.device)
            for row, total in zip(members, totals, strict=True)
        }
    return [known[id(row)] for row in active]


def _spread_alike(rows: "Iterable[Row]") -> "Iterable[tuple[tuple, list[Row]]]":
    """Return lists of rows by the mesh and the dimensions of it along which they are cut."""
    found: dict[tuple, list[Row]] = {}
    for row in rows:
        cuts = row.shard.cuts() if row.shard else ()
        if row.shard and cuts:
            found.setdefault((row.shard.mesh, cuts), []).append(row)
    return found.items()


def anywhere(flags: list[bool], tensors: Iterable[Tensor]) -> list[bool]:
    """Return which of *flags* are set in any process that holds a part of some of *tensors*."""
    if "torch.distributed.tensor" not in sys.modules:
        return flags
    for mesh in {each.mesh: None for each in map(shard_of, tensors) if each}:
        votes = torch.tensor(flags, dtype=torch.int32, device=mesh.device_type)
        for dim in range(mesh.ndim):
            dist.all_reduce(votes, dist.ReduceOp.MAX, group=mesh.get_group(dim))
        flags = votes.bool().tolist()
    return flags


def refuse_pending(p: Tensor) -> None:
    """Refuse a parameter whose numbers are sums that nobody has carried out yet."""
    shard = shard_of(p)
    if shard is not None and any(each.is_partial() for each in shard.placements):
        raise BadValue(
            f"a parameter of shape {tuple(p.shape)} is {_described(shard)}: its value is a sum "
            "over processes that is still pending. Redistribute it to Shard or Replicate."
        )
