"""What travels between processes: vectors as plain bytes, and objects sealed with their paths."""

from __future__ import annotations

import sys
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import thalweg
from thalweg.errors import BadValue
from thalweg.parallel.cluster.mailbox import Place
from thalweg.parallel.compression import Packed

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


class Box(NamedTuple):
    """A compressed vector as bytes; those of the values may lie in a mailbox instead."""

    values: np.ndarray
    dtype: torch.dtype
    places: np.ndarray | None
    size: int
    mailbox: Place | None = None


def boxed(found: Packed) -> Box:
    """Return a box, over the same memory."""
    places = None if found.places is None else packed(found.places)
    return Box(packed(found.values), found.values.dtype, places, found.size)


def unboxed(box: Box, dtype: torch.dtype) -> Tensor:
    """Return the vector of a box; a large one that is whole lies in the same memory."""
    places = None if box.places is None else unpacked(box.places, torch.int32)
    return Packed(unpacked(box.values, box.dtype), places, box.size).dense(dtype)


class Parcel(NamedTuple):
    """Objects as bytes, where Python finds the modules that they were made by, and whose they are.

    *version* is that of thalweg where they were sealed.
    """

    content: bytes
    paths: list[str]
    version: str


def sealed(*objects: Any) -> Parcel:
    """Return a parcel of objects."""
    from ray import cloudpickle

    paths = [path for path in sys.path if path]
    return Parcel(cloudpickle.dumps(objects), paths, thalweg.__version__)


def opened(parcel: Parcel) -> Any:
    """Return the objects of a parcel, whose modules are looked for last where they come from.

    BadValue where it comes from another version of thalweg.
    """
    from ray import cloudpickle

    if parcel.version != thalweg.__version__:
        raise BadValue(
            f"a process of the cluster has thalweg {thalweg.__version__}, the one that began the "
            f"work has {parcel.version}. Install the same on every node."
        )
    sys.path += [path for path in parcel.paths if path not in sys.path]
    return cloudpickle.loads(parcel.content)
