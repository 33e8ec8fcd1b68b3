"""Vectors on their way: plain bytes, which Ray shares between the processes of a machine."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

SMALL = 100_000
"""Up to so many bytes a vector is copied when it arrives, which makes it aligned."""


def packed(vector: Tensor) -> np.ndarray:
    """Return the bytes of a vector, over the same memory."""
    array: np.ndarray = vector.detach().contiguous().view(torch.uint8).numpy()
    return array


def unpacked(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Return the vector of these bytes: a large one over the same memory, which is for reading."""
    if array.nbytes <= SMALL:
        array = array.copy()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).view(dtype)
