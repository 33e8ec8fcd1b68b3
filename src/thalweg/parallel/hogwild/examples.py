"""Sparse examples as compiled loops read them, and in which order an epoch visits them."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from thalweg.errors import BadValue

BLOCK = 32
"""Rows that are read in the order of memory; blocks of them are shuffled.

A processor foresees reads that follow each other, not rows that are visited at random.
"""

_CACHED = 1 << 17
"""Entries up to which examples stay in a processor's cache, and single rows are shuffled."""


@dataclass(frozen=True)
class Examples:
    """Rows of a sparse matrix: where each begins, and the columns and values of its entries.

    *starts* and *columns* are unsigned, which spares compiled loops a look for negative indices.
    """

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    width: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def entries(self, rows: np.ndarray) -> int:
        """Return how many entries these rows have."""
        after = rows.astype(np.int64) + 1
        return int(self.starts[after].sum(dtype=np.int64) - self.starts[rows].sum(dtype=np.int64))

    @property
    def index(self) -> str:
        """The name of the type of indices."""
        return str(self.starts.dtype)


def examples_of(matrix: Any) -> Examples:
    """Return the rows of a scipy matrix in CSR form, whose memory is used as it is."""
    wide = matrix.indptr.dtype.itemsize > 4 or matrix.indices.dtype.itemsize > 4
    index = np.int64 if wide else np.int32
    starts, columns = (
        np.ascontiguousarray(each, index) for each in (matrix.indptr, matrix.indices)
    )
    if len(columns) and (columns.min() < 0 or columns.max() >= matrix.shape[1]):
        raise BadValue(
            f"X has {matrix.shape[1]} columns, but names columns from {columns.min()} to "
            f"{columns.max()}. Build it anew with scipy.sparse.csr_matrix."
        )
    values = np.ascontiguousarray(matrix.data)
    unsigned = np.uint64 if wide else np.uint32
    return Examples(starts.view(unsigned), columns.view(unsigned), values, matrix.shape[1])


@dataclass(frozen=True)
class Measures:
    """What a look at all examples found.

    *counts* says how many rows have an entry in a column, *load* what share a column has in the
    squares of all entries, the intercept's ones last. *length* is the mean square of a row's
    length, weighted by that square itself: the rows that decide whether steps overshoot are long.
    """

    counts: np.ndarray
    load: np.ndarray
    length: float


def measured(module: ModuleType, examples: Examples, has_intercept: bool) -> Measures:
    """Look once at all examples, by the compiled pass of *module*."""
    counts, squares = np.zeros(examples.width, np.int64), np.zeros(examples.width)
    arrays = (examples.starts, examples.columns, examples.values, counts, squares)
    seconds, fourths = module.measure(*arrays)
    count, ones = len(examples), float(has_intercept)
    fourths += ones * (2 * seconds + count)
    seconds += ones * count
    load = np.append(squares, ones * count) / max(seconds, np.finfo(float).tiny)
    return Measures(counts, load, fourths / seconds if seconds else 1.0)


def visiting_order(count: int, entries: int, random: np.random.RandomState) -> np.ndarray:
    """Return the numbers of all rows, in shuffled blocks; singly where memory is no concern."""
    if entries <= _CACHED:
        return random.permutation(count).astype(np.uint32)
    blocks = random.permutation(-(-count // BLOCK)).astype(np.uint32)
    order = (blocks[:, None] * np.uint32(BLOCK) + np.arange(BLOCK, dtype=np.uint32)).ravel()
    return order[order < count]
