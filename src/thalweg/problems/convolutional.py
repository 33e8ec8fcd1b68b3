"""A small convolutional network: convolutions, batch or layer normalization, pooling, dropout."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from thalweg.problems.seeded import seeded

if TYPE_CHECKING:
    from torch import nn

_CHANNELS = (3, 16, 32, 64)


def convolutional(
    norm: Literal["batch", "layer"] = "batch", dropout: float = 0.2, classes: int = 10
) -> Callable[[int], nn.Module]:
    """Return ``make_model(seed)`` for images (batch, 3, 32, 32); its output is one logit a class.

    ``"layer"`` normalizes each image over channels and pixels, ``"batch"`` each channel over the
    batch; ``dropout`` is the share of the last features that is dropped in training.
    """

    def build() -> nn.Module:
        from torch import nn

        blocks = [layer for pair in pairwise(_CHANNELS) for layer in _block(*pair, norm)]
        features = _CHANNELS[-1] * 4 * 4
        return nn.Sequential(
            *blocks, nn.Flatten(), nn.Dropout(dropout), nn.Linear(features, classes)
        )

    return seeded(build)


def _block(inputs: int, outputs: int, norm: str) -> list[nn.Module]:
    from torch import nn

    normalize = nn.BatchNorm2d(outputs) if norm == "batch" else nn.GroupNorm(1, outputs)
    return [nn.Conv2d(inputs, outputs, 3, padding=1), normalize, nn.ReLU(), nn.MaxPool2d(2)]
