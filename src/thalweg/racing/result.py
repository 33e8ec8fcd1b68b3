"""What a race leaves behind: plain data that can be printed, drawn, compared and stored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from thalweg.racing.space import Space
from thalweg.racing.statistics import Estimate, median

METRICS = ("loss", "error")
"""What a race may be decided by, on the validation set: the mean loss, or the share of errors."""

TRIAL, REFERENCE_TRIAL, FINAL, REFERENCE_FINAL = PHASES = (
    "trial", "reference trial", "final", "reference final",
)  # fmt: skip
"""What a training is for: to choose a setting, to judge it, and the same for the target."""


@dataclass(frozen=True)
class Epoch:
    """The losses after one epoch; ``number`` counts from 1, accuracy goes from 0 to 1.

    Both losses are means over examples; ``train_loss`` over those of the epoch while the parameters
    were changing, infinite if any of it was not finite. The accuracy is NaN without classes.
    """

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float

    @classmethod
    def of(cls, number: int, train: float, validation: float, accuracy: float | None) -> Epoch:
        """Return the epoch measured so; NaN stands for an accuracy where there are no classes."""
        if not (math.isfinite(train) and math.isfinite(validation)):
            train = validation = math.inf
        return cls(number, train, validation, math.nan if accuracy is None else accuracy)

    def value(self, metric: str) -> float:
        """Return the number that a race by this metric is decided by; infinite after a failure."""
        if metric == "loss" or math.isinf(self.validation_loss):
            return self.validation_loss
        return 1.0 - self.validation_accuracy


@dataclass(frozen=True)
class Task:
    """One training to be done: what for, a rule, the hyperparameters that are searched, a seed."""

    phase: str
    rule: str
    setting: Mapping[str, float]
    seed: int

    @property
    def key(self) -> tuple:
        """What no other training of a race has."""
        return (self.phase, self.rule, tuple(sorted(self.setting.items())), self.seed)


@dataclass(frozen=True)
class Run:
    """A training that was done: its task, its curve, and the wall-clock seconds it took.

    A run that diverges ends at that epoch. Of runs that were trained side by side each has its
    share of the seconds. The test set is looked at in final runs only.
    """

    task: Task
    curve: tuple[Epoch, ...]
    seconds: float
    test_loss: float | None = None
    test_accuracy: float | None = None

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

    def value(self, metric: str) -> float:
        """Return the metric after the last epoch; infinite for a run that diverged."""
        return self.curve[-1].value(metric)


@dataclass(frozen=True)
class Row:
    """What a race found for one rule: the setting that was chosen, and each fresh seed with it.

    ``losses`` are the final values of the metric, infinite or NaN for a run that diverged;
    ``times`` to the target, in updates, are infinite for a run that did not reach it, and empty in
    a race without a target. Seeds stand in the same order for all rules. ``lost_to`` names the
    rules that this one contains and was shown to lose to; ``edges`` the hyperparameters whose
    chosen value lies at the ``"low"`` or ``"high"`` end of the space, however often that was
    extended. ``trials`` are the values the setting was chosen from, in the order they were tried,
    and ``seconds`` adds up all trainings of the rule.
    """

    name: str
    setting: Mapping[str, float]
    losses: Sequence[float]
    times: Sequence[float] = ()
    lost_to: Sequence[str] = ()
    edges: Mapping[str, str] = field(default_factory=dict)
    rule: str = ""
    trials: Sequence[float] = ()
    accuracies: Sequence[float] = ()
    test_losses: Sequence[float] = ()
    test_accuracies: Sequence[float] = ()
    seconds: float = 0.0

    @cached_property
    def loss(self) -> Estimate:
        """The median of the final values, with its interval."""
        return median(self.losses)

    @property
    def failures(self) -> int:
        """The number of seeds with which it diverged."""
        return len(self.losses) - finite(self.losses)

    @property
    def arrivals(self) -> int:
        """The number of seeds with which it reached the target."""
        return finite(self.times)


@dataclass(frozen=True)
class Terms:
    """What is agreed on before a race: how much is tried, how it is chosen, what decides it.

    ``trials`` settings are tried for each rule, one meaning its defaults, and the best is run with
    ``seeds`` fresh seeds. ``search`` names the hyperparameters that are searched, ``sampler`` says
    how. ``schedule`` is the name of one that the learning rate follows over each training. The
    target is what ``reference`` reaches, tuned with four times the trials, unless ``target`` is
    given; None for both means no target.
    """

    trials: int = 16
    seeds: int = 10
    epochs: int | None = None
    seed: int = 0
    schedule: str = "constant"
    sampler: str = "sobol"
    search: tuple[str, ...] = ("lr",)
    metric: str = "loss"
    reference: str | None = "adamw"
    target: float | None = None


@dataclass(frozen=True)
class Header:
    """The conditions of a race, the same for every rule.

    ``names`` are the rules' own by their keys. ``updates`` counts those of one epoch. ``tested``
    says whether there is a test set, ``digest`` tells one text of a problem file from another, and
    ``spaces`` are those that the search began with.
    """

    problem: str
    description: str
    digest: str
    rules: tuple[str, ...]
    names: Mapping[str, str]
    terms: Terms
    epochs: int
    batch_size: int
    updates: int
    tested: bool
    spaces: Mapping[str, Space]
    threads: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Result:
    """A race: its conditions, every run, and one row per rule, best first.

    ``spaces`` are those that the search ended with, ``extended`` the axes and sides that were
    added; ``target`` is None where there is none. ``remarks`` say what somebody should know.
    """

    header: Header
    runs: tuple[Run, ...]
    board: tuple[Row, ...]
    spaces: Mapping[str, Space]
    extended: tuple[tuple[str, str], ...]
    target: float | None
    remarks: tuple[str, ...] = ()

    @property
    def problem(self) -> str:
        """The name of the problem."""
        return self.header.problem

    @property
    def failed(self) -> bool:
        """Whether every run diverged."""
        return all(run.failed for run in self.runs)

    @property
    def verdict(self) -> str:
        """What the numbers support, in plain words."""
        from thalweg.racing.verdict import verdict

        return verdict(self.board, f"validation {self.header.terms.metric}", "updates")


def finite(values: Sequence[float]) -> int:
    """Return how many of the values are finite."""
    return sum(map(math.isfinite, values))
