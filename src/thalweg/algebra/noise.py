"""Normal noise that depends on where it falls, not on when it is drawn.

A 32-bit hash of (seed, step, parameter index, element index) gives eight random bytes; their sum,
centred and scaled, is the noise. So it is the same on every engine, for any number of threads,
and after a resumed run, and only exact operations on whole numbers are involved, up to one
rounding at the end. The sum of eight uniform bytes has mean 0, variance 1, kurtosis 2.85 (a
normal distribution has 3) and no value beyond 4.88.
"""

import math
from typing import Any

MASK = 0xFFFFFFFF
ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B))
"""Shifts and multipliers of a 32-bit mixer, followed by one last shift by 16."""
SECOND = 0x85EBCA6B
"""Added to the first hashed word to derive the second."""
PAIRS = 0x00FF00FF
"""Every other byte of a word."""

MEAN = 8 * 255 / 2
SCALE = 1 / math.sqrt(8 * (256**2 - 1) / 12)


def mixed(word: Any) -> Any:
    """Return whole numbers below 2**32 hashed to whole numbers below 2**32."""
    for shift, factor in ROUNDS:
        word = ((word ^ (word >> shift)) * factor) & MASK
    return word ^ (word >> 16)


def key(seed: Any, t: Any, parameter: int) -> Any:
    """Return the key of one parameter at one step, from whole numbers."""
    return mixed(mixed(mixed(seed & MASK) ^ (t & MASK)) ^ (parameter & MASK))


def byte_sums(row_key: Any, elements: Any) -> Any:
    """Return for each element index the sum of eight random bytes.

    The key sets the stride from element to element as well as the start, so that two keys do not
    walk through the same numbers at a distance.
    """
    first = mixed((elements * (row_key | 1) + row_key) & MASK)
    second = mixed((first + SECOND) & MASK)
    pairs = _byte_pairs(first) + _byte_pairs(second)
    return (pairs & 0xFFFF) + (pairs >> 16)


def _byte_pairs(word: Any) -> Any:
    return (word & PAIRS) + ((word >> 8) & PAIRS)


def draw(place: tuple[Any, Any, int], model: Any, library: Any, elements: Any = None) -> Any:
    """Return noise of the shape and dtype of the array *model*, of module *library*.

    *place* is the seed, the step and the index of the parameter. *elements* are the indices of
    the elements in the parameter, where *model* is only a part of it.
    """
    seed, t, parameter = place
    device = {"device": model.device} if library.__name__ == "torch" else {}
    if elements is None:
        count = math.prod(model.shape)
        elements = library.arange(count, dtype=library.int64, **device).reshape(model.shape)
    sums = byte_sums(key(_whole(seed), _whole(t), parameter), elements)
    exact = sums.to(model.dtype) if hasattr(sums, "to") else sums.astype(model.dtype)
    return (exact - MEAN) * SCALE


def _whole(value: Any) -> Any:
    return value.long() if hasattr(value, "long") else int(value)
