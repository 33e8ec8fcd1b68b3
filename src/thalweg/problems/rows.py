"""Rows of tensors, arrays and memory maps, a piece at a time: read, and looked for elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from thalweg.errors import BadType

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_SCANNED = 2**22
_CHUNK = 2**20


def check_kind(part: Any) -> None:
    """Raise BadType for arrays of what no tensor can hold."""
    import numpy as np
    import torch

    if isinstance(part, torch.Tensor):
        return
    try:
        torch.from_numpy(np.empty(0, part.dtype))
    except (TypeError, ValueError) as error:
        raise BadType(
            f"the data are an array of {part.dtype.str} ({part.dtype}), of which torch makes no "
            "tensor; expected numbers in this machine's byte order, such as "
            "array.astype(numpy.float32)."
        ) from error


def pieces(rows: Any) -> Iterator[tuple[int, Tensor]]:
    """Yield (first row, rows) as tensors of about a million numbers; stop early in a memory map."""
    import numpy as np
    import torch

    width = max(1, int(np.prod(rows.shape[1:])))
    count = min(len(rows), _SCANNED // width) if isinstance(rows, np.memmap) else len(rows)
    height = max(1, _CHUNK // width)
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        for start in range(0, count, height):
            piece = rows[start : min(start + height, count)]
            yield start, torch.as_tensor(_forwards(piece))


def _forwards(piece: Any) -> Any:
    """Return an array that is read backwards as a copy, which torch takes; others as they are."""
    backwards = any(stride < 0 for stride in getattr(piece, "strides", ()))
    return piece.copy() if backwards else piece


def shared_rows(first: Any, second: Any) -> tuple[int, int]:
    """Return how many rows of ``second`` are in ``first`` too, and how many repeat in ``first``."""
    import torch

    if first.shape[1:] != second.shape[1:]:
        return 0, 0
    dtype = torch.promote_types(*(next(pieces(rows[:1]))[1].dtype for rows in (first, second)))
    seen = list(_hashes(first, dtype))
    known = set(seen)
    return sum(each in known for each in _hashes(second, dtype)), len(seen) - len(known)


def _hashes(rows: Any, dtype: torch.dtype) -> Iterator[int]:
    import torch

    for _, chunk in pieces(rows):
        flat = chunk.detach().to("cpu", dtype).reshape(len(chunk), -1)
        yield from map(hash, map(bytes, flat.view(torch.uint8).numpy()))
