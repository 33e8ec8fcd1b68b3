"""What a race leaves behind: plain data that knows no screen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """The state of a run after an epoch.

    ``number`` counts from 1. ``train_loss`` is the mean over the epoch's mini-batches, each taken
    before its own update; ``validation_loss`` and ``validation_accuracy`` (0 to 1) are measured
    after the epoch. Both losses are infinite where the run has diverged.
    """

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float

    @classmethod
    def of(cls, number: int, train: float, validation: float, accuracy: float | None) -> "Epoch":
        """Return the epoch measured so; NaN stands for an accuracy where there are no classes."""
        if not (math.isfinite(train) and math.isfinite(validation)):
            train = validation = math.inf
        return cls(number, train, validation, math.nan if accuracy is None else accuracy)


@dataclass(frozen=True)
class Run:
    """One training: a rule, its learning rate, the curve, and the wall-clock seconds it took.

    The seconds include whatever the rule had to compile. A run that diverges ends at that epoch.
    """

    rule: str
    lr: float
    curve: tuple[Epoch, ...]
    seconds: float

    @property
    def loss(self) -> float:
        """The validation loss after the last epoch; infinite for a run that diverged."""
        return self.curve[-1].validation_loss

    @property
    def accuracy(self) -> float:
        """The validation accuracy after the last epoch, from 0 to 1."""
        return self.curve[-1].validation_accuracy

    @property
    def failed(self) -> bool:
        """Whether the run diverged: a loss was infinite or not a number."""
        return not math.isfinite(self.loss)


@dataclass(frozen=True)
class Row:
    """A rule's line on the board: its best run, and what the search for it cost.

    ``finished`` and ``failures`` count runs, ``seconds`` adds them up. ``edge`` is ``"lowest"`` or
    ``"highest"`` where the best learning rate was the first or last of the grid, so that a better
    one may lie outside it, and empty otherwise.
    """

    rule: str
    best: Run
    finished: int
    failures: int
    seconds: float
    edge: str


@dataclass(frozen=True)
class Header:
    """The conditions of a race, the same for every rule; ``trials`` is per rule."""

    problem: str
    description: str
    rules: tuple[str, ...]
    trials: int
    epochs: int
    batch_size: int
    seed: int
    threads: int
    versions: Mapping[str, str]

    @property
    def planned(self) -> int:
        """The number of runs of the whole race."""
        return len(self.rules) * self.trials


@dataclass(frozen=True)
class Result:
    """A race: its conditions, every finished run, and one row per rule, best first."""

    header: Header
    runs: tuple[Run, ...]
    board: tuple[Row, ...]

    @property
    def problem(self) -> str:
        """The name of the problem."""
        return self.header.problem

    @property
    def complete(self) -> bool:
        """Whether every planned run has finished."""
        return len(self.runs) == self.header.planned
