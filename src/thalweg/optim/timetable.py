"""Which hyperparameters of which groups follow schedules, and what they are at each update."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from thalweg.algebra import Hyperparameter
from thalweg.errors import BadType, BadValue
from thalweg.schedules import Schedule

UPDATES = "updates"
"""The key under which a group with schedules counts the updates made; checkpoints hold it."""

Group = dict[str, Any]

_SCHEDULED = "initial_lr"
"""The key that a scheduler of torch's adds to the groups whose lr it will set."""

_ADVICE = (
    "Use one or the other; where a trainer insists on a scheduler, give it "
    "thalweg.optim.lr_scheduler.FollowLR(optimizer)."
)


@dataclass
class Entry:
    """One scheduled number: the *index*-th of a pair, where a group's key holds a pair.

    ``hyper`` says what is legal, where the group's rule has a hyperparameter of that name.
    """

    group: int
    key: str
    index: int | None
    schedule: Schedule
    shown: float
    hyper: Hyperparameter | None = None

    @property
    def label(self) -> str:
        """What the number is called."""
        return self.key if self.index is None else f"{self.key}[{self.index}]"

    @property
    def place(self) -> tuple[str, int | None]:
        """Where a group keeps the number."""
        return self.key, self.index

    def write(self, group: Group) -> None:
        """Set the number of the update that comes next; refuse to overwrite one set by hand."""
        now = _at(group[self.key], self.index)
        if now != self.shown:
            raise BadValue(
                f"group {self.group}: {self.key} follows a schedule, but was set to {now!r} in "
                f"the meantime, perhaps by one of torch's schedulers. {_ADVICE}"
            )
        if self.key == "lr" and _SCHEDULED in group:
            raise BadValue(
                f"group {self.group}: lr follows a schedule, but one of torch's schedulers was "
                f"built to set it too. {_ADVICE}"
            )
        found = float(self.schedule(group[UPDATES]))
        self.check(found, f"group {self.group}", group[UPDATES])
        self.shown = found
        group[self.key] = _with(group[self.key], self.index, self.shown)

    def check(self, value: float, owner: str, index: int) -> None:
        """Refuse a number that is not finite, or outside the legal range."""
        try:
            if not math.isfinite(value):
                raise BadValue(f"{owner}: {self.label}={value!r} is not finite.")
            if self.hyper is not None:
                self.hyper.check(value, owner, self.label)
        except BadValue as error:
            raise BadValue(
                f"{error} That is what its schedule is at index {index}, for update {index + 1}."
            ) from None

    def check_run(self, owner: str) -> None:
        """Refuse a schedule that is not finite or not legal at some update of its run."""
        indices, values = _run(self.schedule)
        wrong = np.flatnonzero(~np.isfinite(values))[:1]
        for place in {0, *wrong.tolist(), int(values.argmin()), int(values.argmax())}:
            self.check(float(values[place]), owner, int(indices[place]))

    def forget_scheduler(self, group: Group, loaded: Group) -> None:
        """Drop the mark of a scheduler of torch's that *loaded* has from the run that saved it."""
        if self.key == "lr" and _SCHEDULED not in group:
            loaded.pop(_SCHEDULED, None)

    def adopt(self, group: Group) -> None:
        """Take the number that a checkpoint brought for the one last set."""
        self.shown = _at(group[self.key], self.index)


def found_in(settings: Mapping[str, Any], group: int) -> list[Entry]:
    """Return an entry for every schedule among the settings of a group."""
    return [
        Entry(group, key, index, each, _first(each, key))
        for key, index, each in _values(settings)
        if isinstance(each, Schedule)
    ]


def _first(schedule: Schedule, key: str) -> float:
    if schedule.lanes is not None:
        raise BadType(
            f"{key} is a schedule of {schedule.lanes} lanes, which has as many numbers at every "
            "update; an optimizer takes one number. Give it the schedule of one lane."
        )
    return float(schedule(0))


def with_numbers(
    settings: Mapping[str, Any], choose: Callable[[Schedule], float] | None = None
) -> Group:
    """Return *settings* with a number of every schedule in its place, the first unless chosen."""
    numbers = dict(settings)
    for entry in found_in(settings, 0):
        number = choose(entry.schedule) if choose else entry.shown
        numbers[entry.key] = _with(numbers[entry.key], entry.index, number)
    return numbers


def largest(value: Any) -> Any:
    """Return the highest number of a schedule, and any other value as it is."""
    return float(_run(value)[1].max()) if isinstance(value, Schedule) else value


def farthest_from_zero(schedule: Schedule) -> float:
    """Return the number of a schedule that is farthest from zero: it needs whatever any needs."""
    values = _run(schedule)[1]
    return float(values[np.abs(values).argmax()])


CHECKED = 100_000
"""How many updates of a schedule are looked at beforehand."""


@lru_cache(maxsize=4)
def _run(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Return the updates looked at beforehand, and the values there.

    Those are the first 100,000 of a schedule without a horizon; all up to a horizon, or as many
    spread evenly up to one that is farther away.
    """
    last = (schedule.horizon or CHECKED) - 1
    indices = np.unique(np.linspace(0, last, min(last + 1, CHECKED)).round())
    return indices, schedule(indices)


def _values(settings: Mapping[str, Any]) -> Iterator[tuple[str, int | None, Any]]:
    for key, value in settings.items():
        if key == "params":
            continue
        if isinstance(value, (tuple, list)):
            yield from ((key, index, each) for index, each in enumerate(value))
        else:
            yield key, None, value


def _at(value: Any, index: int | None) -> Any:
    return value if index is None else value[index]


def _with(value: Any, index: int | None, number: float) -> Any:
    if index is None:
        return number
    return type(value)(number if k == index else each for k, each in enumerate(value))
