"""The state of all random number generators a training may draw from, taken and put back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


def seed(number: int) -> None:
    """Let all generators of this process begin from a number below 2**32."""
    torch.manual_seed(number)
    np.random.seed(number)
    random.seed(number)


def capture(generators: Sequence[torch.Generator] = ()) -> dict[str, Any]:
    """Return the states of torch's, NumPy's and Python's generators, and of more."""
    kind, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        "python": random.getstate(),
        "own": [each.get_state() for each in generators],
    }
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore(state: dict[str, Any], generators: Sequence[torch.Generator] = ()) -> None:
    """Put back what `capture` returned."""
    torch.set_rng_state(state["torch"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    random.setstate(state["python"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    for generator, own in zip(generators, state["own"], strict=True):
        generator.set_state(own)
