"""What can be asked of a training: how it is completed, recorded, and compared when it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from thalweg import rules
from thalweg.arguments import check_count, check_number
from thalweg.errors import BadValue
from thalweg.problems import Problem
from thalweg.problems.examples import first_batch
from thalweg.schedules.spread import depends_on_length
from thalweg.training.data.forms import Stream, as_data
from thalweg.training.strategies.averaging import Ema
from thalweg.training.strategies.snapshots import Snapshots
from thalweg.training.strategies.stopping import EarlyStopping
from thalweg.training.strategies.strategy import Strategy

if TYPE_CHECKING:
    from thalweg.record import RunSummary

LARGEST_SEED = 2**32 - 1

SNAPSHOTS = "snapshot_cosine"
"""The schedule at the ends of whose cycles snapshots are taken."""

LONGER = "epochs"
"""The event of a run that was resumed for more epochs than it began with: its step counts them."""

_ALWAYS = ("rule", "lr", "schedule", "epochs", "updates_per_epoch", "checkpoints")


@dataclass(frozen=True)
class Settings:
    """What is asked of the training of a problem; None stands for the problem's or rule's own.

    ``rule`` is a key of the catalogue, ``lr`` a learning rate or several that are trained one after
    the other, ``schedule`` the name of one that is spread over the run, after ``warmup`` updates.
    ``batch`` examples, times ``accumulate``, make one update. ``clip`` bounds the norm of the
    gradient, ``noise`` is the variance of what is added to it at the first update. ``stop_after``
    epochs without progress the training ends, ``ema`` is the decay of an average of the weights,
    and ``snapshots`` are taken at the ends of as many cosines. ``hyper`` holds the rule's other
    hyperparameters.
    """

    rule: str | None = None
    lr: float | Sequence[float] | None = None
    schedule: str | None = None
    warmup: int | None = None
    batch: int | Literal["all"] | None = None
    epochs: int | None = None
    seed: int | None = None
    accumulate: int | None = None
    clip: float | None = None
    noise: float | None = None
    stop_after: int | None = None
    ema: float | None = None
    snapshots: int | None = None
    hyper: Mapping[str, float] | None = None

    @classmethod
    def recorded(cls, run: RunSummary) -> Settings | None:
        """Return the settings of a run from its record; None for a run that has others."""
        if not {*_ALWAYS} <= run.hyper.keys():
            return None
        names = [field.name for field in fields(cls) if field.name in run.hyper]
        found = cls(**{name: run.hyper[name] for name in names})
        longer = run.events.get(LONGER)
        return replace(found, epochs=longer.step) if longer else found

    @property
    def lrs(self) -> list[float]:
        """The learning rates, one or several."""
        return list(self.lr) if isinstance(self.lr, Sequence) else [self.lr or 0.0]

    def each(self) -> list[Settings]:
        """Return the settings of each single training."""
        if not isinstance(self.lr, Sequence):
            return [self]
        return [replace(self, lr=lr) for lr in self.lr]

    def given(self) -> dict[str, Any]:
        """Return those that are given, by name, as JSON holds them."""
        found = {name: value for name, value in asdict(self).items() if value not in (None, {})}
        return {name: _plain(value) for name, value in found.items()}

    def completed(self, problem: Problem) -> Settings:
        """Return the settings with the defaults of the rule and the problem, checked.

        Raises UnknownName, BadValue or BadType for what cannot be used.
        """
        loader = isinstance(as_data(problem.train), Stream)
        if loader and self.batch is not None:
            raise BadValue(
                f"a batch of {self.batch} was asked for, but the data of {problem.name} are a "
                "loader, which cuts its own. Leave it out."
            )
        rule = rules.find(self.rule or "adamw")
        defaults: dict[str, Any] = {
            "rule": rule.key,
            "lr": rule.hyperparameters["lr"].default,
            "schedule": "constant" if self.snapshots is None else SNAPSHOTS,
            "warmup": 0,
            "batch": None if loader else problem.batch_size,
            "epochs": problem.epochs,
            "seed": 0,
            "accumulate": 1,
        }
        whole = replace(self, **{**defaults, **self.given()})
        whole._check()
        whole._check_strategies(problem)
        return whole

    def _check(self) -> None:
        for name, low in (("epochs", 1), ("warmup", 0), ("accumulate", 1)):
            check_count(name, getattr(self, name), low)
        check_count("seed", self.seed, 0, LARGEST_SEED)
        for lr in self.lrs:
            check_number("lr", lr)
        if not self.lrs or len(set(self.lrs)) < len(self.lrs):
            raise BadValue(f"the learning rates are {self.lrs}; expected each of them once.")
        if "lr" in (self.hyper or {}):
            raise BadValue("lr was given among the other hyperparameters; it has its own place.")

    def _check_strategies(self, problem: Problem) -> None:
        if self.stop_after is not None and problem.validation is None:
            raise BadValue(f"{problem.name} has no validation set that could stop its training.")
        if self.snapshots is None:
            return
        if self.schedule != SNAPSHOTS:
            raise BadValue(
                f"snapshots are taken of the schedule {SNAPSHOTS}, and {self.schedule!r} was asked "
                "for. Leave one of them out."
            )
        if first_batch(problem.train, 1)[1].is_floating_point():
            raise BadValue(
                f"snapshots predict together by the mean of their probabilities, and the targets "
                f"of {problem.name} are no classes."
            )

    def strategies(self) -> list[Strategy]:
        """Return what acts on the training: averages and snapshots first, which see all updates."""
        found: list[Strategy] = []
        if self.ema is not None:
            found.append(Ema(self.ema))
        if self.snapshots is not None:
            found.append(Snapshots())
        if self.stop_after is not None:
            found.append(EarlyStopping(self.stop_after))
        return found

    def resumed(self, recorded: Settings) -> Settings:
        """Return the recorded settings for going on, or raise BadValue for others asked for here.

        More epochs may be asked for where the schedule does not depend on their number.
        """
        before, asked = recorded.given(), self.given()
        for name, value in asked.items():
            if value != before.get(name) and not self._lengthens(name, recorded):
                raise BadValue(
                    f"the run to be resumed was begun with {name} {before.get(name)!r}, and "
                    f"{value!r} was asked for{_why(name, recorded)}. Leave it out, or begin anew "
                    "without resuming."
                )
        return replace(recorded, epochs=self.epochs or recorded.epochs)

    def _lengthens(self, name: str, recorded: Settings) -> bool:
        longer = (self.epochs or 0) > (recorded.epochs or 0)
        return name == "epochs" and longer and not _why(name, recorded)


def _why(name: str, recorded: Settings) -> str:
    if name != "epochs":
        return ""
    if depends_on_length(recorded.schedule or "constant"):
        return f"; the schedule {recorded.schedule!r} is spread over the run, and would change"
    if isinstance(recorded.lr, Sequence):
        return "; the runs of a study are equally long"
    return ""


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [float(each) for each in value]
    return value
