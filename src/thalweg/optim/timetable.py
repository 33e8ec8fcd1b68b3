"""Which hyperparameters of which groups follow schedules, and what they are at each update."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.algebra import Hyperparameter
from thalweg.errors import BadValue
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
    """One scheduled number: the *index*-th of a pair, where a group's key holds a pair."""

    group: int
    key: str
    index: int | None
    schedule: Schedule
    shown: float

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
        self.shown = float(self.schedule(group[UPDATES]))
        group[self.key] = _with(group[self.key], self.index, self.shown)

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
        Entry(group, key, index, each, float(each(0)))
        for key, index, each in _values(settings)
        if isinstance(each, Schedule)
    ]


def with_numbers(settings: Mapping[str, Any]) -> Group:
    """Return *settings* with every schedule replaced by its first value."""
    numbers = dict(settings)
    for entry in found_in(settings, 0):
        numbers[entry.key] = _with(numbers[entry.key], entry.index, entry.shown)
    return numbers


def largest(value: Any) -> Any:
    """Return the highest number of a schedule, and any other value as it is."""
    return float(np.max(_run(value))) if isinstance(value, Schedule) else value


def check_whole_run(schedule: Schedule, hyper: Hyperparameter, owner: str, label: str) -> None:
    """Refuse a schedule that leaves the legal range at some update of its run."""
    values = _run(schedule)
    for index in {0, int(np.argmin(values)), int(np.argmax(values)), *_not_finite(values)}:
        try:
            hyper.check(float(values[index]), owner, label)
        except BadValue as error:
            raise BadValue(f"{error} That is what its schedule is at update {index}.") from None


def _run(schedule: Schedule) -> np.ndarray:
    """Return a schedule's values up to its horizon; without one, those of 100,000 updates."""
    count = schedule.horizon or 100_000
    return np.broadcast_to(schedule(np.arange(count, dtype=float)), (count,))


def _not_finite(values: np.ndarray) -> list[int]:
    return np.flatnonzero(~np.isfinite(values))[:1].tolist()


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
