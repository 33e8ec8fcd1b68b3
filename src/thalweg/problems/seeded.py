"""A model is built from a seed alone, and torch's own random state is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def seeded(build: Callable[[], nn.Module]) -> Callable[[int], nn.Module]:
    """Return ``make_model(seed)``, which calls ``build`` with torch's generator at that seed.

    It can be pickled where ``build`` can.
    """
    return partial(_built, build)


def _built(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
