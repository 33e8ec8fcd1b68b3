"""A point on a surface as a module, so that whatever trains a model can walk there."""

import torch
from torch import Tensor, nn

from thalweg.problems.surfaces import Surface


class Walker(nn.Module):
    """Its one parameter, ``point``, begins at the surface's start; the output is the height there.

    Inputs are only counted: the output (batch,) repeats the height.
    """

    def __init__(self, surface: Surface) -> None:
        super().__init__()
        self.surface = surface
        self.point = nn.Parameter(torch.tensor(surface.start))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the height at the point, once for each of the ``inputs``."""
        return self.surface(self.point).expand(len(inputs))
