"""The weights of a model, its buffers with them: copied out, put back, and written to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from thalweg import files
from thalweg.errors import BadFile
from thalweg.training.tree import pack

Weights = dict[str, Any]
"""What ``state_dict()`` returns: tensors by name, and what modules add of their own."""


def copy_of(model: nn.Module) -> Weights:
    """Return the weights of *model* as they are now."""
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else value
        for name, value in model.state_dict().items()
    }


def check_fit(model: nn.Module, weights: Weights, origin: str) -> None:
    """Raise BadFile unless names and shapes are those of *model*; *origin* says whose they are."""
    own, theirs = _shapes(model.state_dict()), _shapes(weights)
    for name in sorted(own.keys() | theirs.keys()):
        if own.get(name) != theirs.get(name):
            raise BadFile(
                f"{origin} of another model: its {name!r} has shape {theirs.get(name, 'none')}, "
                f"that of this model {own.get(name, 'none')}."
            )


def _shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    return {n: tuple(each.shape) for n, each in weights.items() if isinstance(each, Tensor)}


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> Path:
    """Write the state dict of *model*, each tensor under its name, whole or not at all.

    ``model.load_state_dict(safetensors.torch.load_file(path))`` reads it. Raises BadFile.
    """
    tensors = pack(dict(model.state_dict()))[1]
    return files.write(path, safetensors.torch.save(tensors))
