"""How a loss's first argument follows from what the model returned: itself, reshaped, a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Way = Callable[[Tensor, tuple[int, ...]], Tensor]

WAYS: Mapping[str, Way] = {
    "itself": lambda x, shape: x,
    "reshaped": lambda x, shape: x.reshape(shape),
    "last place": lambda x, shape: x[:, -1].reshape(shape),
    "first place": lambda x, shape: x[:, 0].reshape(shape),
    "all but the last place": lambda x, shape: x[:, :-1].reshape(shape),
    "classes second": lambda x, shape: x.movedim(-1, 1).reshape(shape),
    "log softmax": lambda x, shape: x.log_softmax(1).reshape(shape),
    "log softmax of the last": lambda x, shape: x.log_softmax(-1).reshape(shape),
    "softmax": lambda x, shape: x.softmax(1).reshape(shape),
    "sigmoid": lambda x, shape: x.sigmoid().reshape(shape),
}
"""What loops do to an output before the loss; *shape* is that of the result."""


@dataclass(frozen=True)
class View:
    """One of `WAYS`, from the tensor at *path* in what the model returned."""

    way: str
    path: tuple[Any, ...] = ()

    def __call__(self, output: Any, shape: tuple[int, ...]) -> Tensor:
        """Return the scores of this *shape*."""
        for key in self.path:
            output = output[key]
        return WAYS[self.way](output, shape)


def find_view(output: Any, scores: Tensor) -> View | None:
    """Return how *scores* follow from *output*, None where no known way leads there."""
    with torch.no_grad():
        for path, tensor in _parts(output):
            for way in WAYS:
                if _leads(way, tensor, scores):
                    return View(way, path)
    return None


def _parts(output: Any) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    if isinstance(output, Tensor):
        yield (), output
    elif isinstance(output, (tuple, list, Mapping)):
        keys = list(output) if isinstance(output, Mapping) else range(len(output))
        for key in keys:
            yield from (((key, *path), part) for path, part in _parts(output[key]))


def _leads(way: str, tensor: Tensor, scores: Tensor) -> bool:
    if way == "itself":
        return tensor is scores
    try:
        found = WAYS[way](tensor.detach(), tuple(scores.shape))
    except (RuntimeError, IndexError):
        return False
    return found.dtype == scores.dtype and torch.equal(found, scores.detach())
