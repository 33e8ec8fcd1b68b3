"""Every training of a seed begins with the same random numbers, whatever draws them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from thalweg.training import randomness

PARTS = (DataLoader, Sampler, Dataset)
"""What may have a generator of its own among its attributes, or another of these."""

MANY = 100
"""A list with more than this is one of examples, not of data sets."""


class Kind(NamedTuple):
    """A kind of generator: how it is seeded, and how its state is read and put back."""

    type: type
    seed: Callable[[Any, int], Any]
    state: Callable[[Any], Any]
    restore: Callable[[Any, Any], Any]


def _begin_bits(generator: np.random.Generator, number: int) -> None:
    bits = generator.bit_generator
    bits.state = type(bits)(number).state


def _restore_bits(generator: np.random.Generator, state: Any) -> None:
    generator.bit_generator.state = state


_OLD, _PLAIN = np.random.RandomState, random.Random
KINDS = (
    Kind(
        torch.Generator, torch.Generator.manual_seed, torch.Generator.get_state,
        torch.Generator.set_state,
    ),
    Kind(np.random.Generator, _begin_bits, lambda each: each.bit_generator.state, _restore_bits),
    Kind(_OLD, _OLD.seed, _OLD.get_state, _OLD.set_state),
    Kind(_PLAIN, _PLAIN.seed, _PLAIN.getstate, _PLAIN.setstate),
)  # fmt: skip
"""What random numbers are drawn from, in torch, NumPy and Python."""


@contextmanager
def beginning(seed: int, *data: Any) -> Iterator[None]:
    """Let all generators begin anew for a while: those of torch, NumPy, Python, and of the *data*.

    The generators of loaders, samplers and data sets are found among their attributes. Afterwards
    all are as they were.
    """
    own = generators(data)
    usual, states = randomness.capture(), [kind.state(each) for kind, each in own]
    randomness.seed(seed)
    for place, (kind, each) in enumerate(own, 1):
        kind.seed(each, int(np.random.SeedSequence((seed, place)).generate_state(1)[0]))
    try:
        yield
    finally:
        randomness.restore(usual)
        for (kind, each), state in zip(own, states, strict=True):
            kind.restore(each, state)


def generators(data: Any) -> list[tuple[Kind, Any]]:
    """Return the generators of loaders, samplers and data sets among the *data*, each once.

    They come in an order that the data alone decide.
    """
    found: dict[int, tuple[Kind, Any]] = {}
    waiting, seen = [data], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        found |= {id(each): (kind, each) for kind in KINDS if isinstance(each, kind.type)}
        waiting += _within(each)
    return list(found.values())


def _within(each: Any) -> list[Any]:
    """Return what stands in a part; of a list that is not one of parts, nothing."""
    if isinstance(each, (list, tuple)):
        return list(each) if len(each) <= MANY else []
    return list(vars(each).values()) if isinstance(each, PARTS) else []
