"""What a push looks like on its way: whole, in half the bits, or only its largest elements.

Neither algorithms nor shards know of it: engines compress what a worker pushes to a shard, and give
the shard the vector that comes out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.arguments import check_number
from thalweg.errors import BadValue
from thalweg.parallel.flat import finite


class Packed(NamedTuple):
    """Elements of a vector of *size*: all of them, or those at *places*, the others being zero."""

    values: Tensor
    places: Tensor | None
    size: int

    @property
    def nbytes(self) -> int:
        """How much has to travel."""
        return self.values.nbytes + (0 if self.places is None else self.places.nbytes)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """Return the vector; that which was packed whole is not copied."""
        values = self.values.to(dtype)
        if self.places is None:
            return values
        return torch.zeros(self.size, dtype=dtype).index_put_((self.places.long(),), values)


Compressor = Callable[[Tensor], Packed]
"""Packs the pushes of one worker to one shard, one after the other."""


class Compression(ABC):
    """How pushes are made smaller."""

    @abstractmethod
    def compressor(self) -> Compressor:
        """Return what packs the pushes of one worker to one shard."""


@dataclass(frozen=True)
class Whole(Compression):
    """Pushes as they are."""

    def compressor(self) -> Compressor:
        """Return what packs a vector over the same memory."""
        return lambda vector: Packed(vector, None, len(vector))


@dataclass(frozen=True)
class BFloat16(Compression):
    """Pushes of two bytes an element, with the range of float32 and eight bits of precision."""

    def compressor(self) -> Compressor:
        """Return what rounds to the nearest."""
        return lambda vector: Packed(vector.to(torch.bfloat16), None, len(vector))


@dataclass(frozen=True)
class TopK(Compression):
    """The *share* of elements that are largest; the others wait and are added to the next push.

    Stich, Cordonnier & Jaggi 2018, Sparsified SGD with memory.
    """

    share: float = 0.01

    def __post_init__(self) -> None:
        check_number("share", self.share, 0)
        if not 0 < self.share <= 1:
            raise BadValue(f"share={self.share!r}; expected a number above 0 and up to 1.")

    def compressor(self) -> Compressor:
        """Return what remembers what it has not sent."""
        return _Memory(self.share)


class _Memory:
    """Sends the largest elements of what was pushed and not sent yet.

    A vector that is not finite is sent whole, for the shard to refuse, and not remembered.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._left: Tensor | None = None

    def __call__(self, vector: Tensor) -> Packed:
        if not finite(vector):
            return Packed(vector, None, len(vector))
        whole = vector.clone() if self._left is None else self._left.add_(vector)
        count = max(1, round(self._share * len(whole)))
        places = whole.abs().topk(count).indices.to(torch.int32)
        values = whole[places]
        whole[places] = 0
        self._left = whole
        return Packed(values, places, len(whole))
