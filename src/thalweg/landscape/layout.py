"""Many tensors as one flat vector, and back: where each of them lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import final

import torch
from torch import Tensor

from thalweg.errors import BadType, BadValue


@final
@dataclass(frozen=True)
class Layout:
    """The names and shapes of tensors, in the order in which they follow one another."""

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """How many numbers there are in all."""
        return sum(map(prod, self.shapes.values()))

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the tensors that lie in *vector* (size,), as views."""
        pieces = vector.split([prod(shape) for shape in self.shapes.values()])
        named = zip(self.shapes.items(), pieces, strict=True)
        return {name: piece.view(shape) for (name, shape), piece in named}

    def join(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return one vector (size,) of *tensors*, which must have the names of this layout."""
        return torch.cat([tensors[name].reshape(-1) for name in self.shapes])

    def check(self, vector: Tensor, name: str = "point", finite: bool = False) -> None:
        """Raise unless *vector* is a tensor (size,), of finite numbers where they must be."""
        if not isinstance(vector, Tensor):
            raise BadType(f"{name} is a {type(vector).__name__}; expected a tensor ({self.size},).")
        if vector.shape != (self.size,):
            raise BadValue(
                f"{name} has shape {tuple(vector.shape)}; expected one flat vector of the "
                f"{self.size:,} numbers that are trained, ({self.size},)."
            )
        if finite and not bool(vector.isfinite().all()):
            raise BadValue(f"{name} has numbers that are not finite; give one from before that.")
