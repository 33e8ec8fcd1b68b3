"""A run of the bank is a training as a user would write it, and what a doctor should say of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from thalweg.doctor import Diagnosis

Training = Callable[[], Diagnosis]


@dataclass(frozen=True)
class Run:
    """A training under watch, its story, and the codes of which one should come first.

    A healthy run has no codes. Where one disease has two descriptions there are two codes, and
    *because* says why.
    """

    name: str
    story: str
    train: Training
    codes: tuple[str, ...] = ()
    because: str = ""

    @property
    def healthy(self) -> bool:
        return not self.codes


def faulty(*codes: str, because: str = "") -> Callable[[Training], Run]:
    """Make a training one that should be found to have the first of *codes*, or another of them."""
    if (len(codes) > 1) != bool(because):
        raise ValueError(f"{codes}: several codes need a reason, and one needs none")
    return lambda train: Run(train.__name__, _story(train), train, codes, because)


def healthy(train: Training) -> Run:
    """Make a training one that should be found healthy."""
    return Run(train.__name__, _story(train), train)


def _story(train: Training) -> str:
    return " ".join(inspect.getdoc(train).split())
