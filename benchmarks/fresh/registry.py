"""A list of trainings, each with the codes of which one must come first."""

from collections.abc import Callable
from dataclasses import dataclass

import thalweg

_RUNS: list["Run"] = []


@dataclass(frozen=True)
class Run:
    """One training: *codes* are those that are right as the first one, none where it is healthy."""

    codes: tuple[str, ...]
    train: Callable[[], thalweg.watch]

    @property
    def name(self) -> str:
        return self.train.__name__


def ill(*codes: str) -> Callable:
    def enter(train):
        _RUNS.append(Run(codes, train))
        return train

    return enter


def well(train):
    return ill()(train)


def runs(word: str = "") -> list[Run]:
    """Every run whose name contains the word, or that has it as a code."""
    return [each for each in _RUNS if word in each.name or word in each.codes]
