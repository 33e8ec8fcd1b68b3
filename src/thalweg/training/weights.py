"""The weights of a model alone, in one safetensors file for whoever wants to use it."""

import os
from pathlib import Path

import safetensors.torch
from torch import nn

from thalweg import files
from thalweg.errors import BadFile
from thalweg.training.tree import pack


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> Path:
    """Write the state dict of *model*, each tensor under its name, whole or not at all.

    ``model.load_state_dict(safetensors.torch.load_file(path))`` reads it. Raises BadFile.
    """
    place = Path(os.path.abspath(path))
    tensors = pack(dict(model.state_dict()))[1]
    try:
        files.replace(place, safetensors.torch.save(tensors))
    except OSError as error:
        raise BadFile(f"{place} cannot be written: {error.strerror}.") from error
    return place
