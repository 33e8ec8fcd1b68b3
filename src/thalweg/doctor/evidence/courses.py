"""How far a schedule of the learning rate went: its length, the steps done, and in which unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from thalweg.doctor.evidence.facts import OptimizerFacts, SchedulerFacts
from thalweg.doctor.evidence.seen import Step

LENGTHS = ("T_max", "total_steps", "total_iters", "num_training_steps")
"""Settings that say after how many of its own steps a schedule is at its end."""

NOTHING = 1e-3
"""A rate below this share of the largest is as good as none."""


@dataclass(frozen=True)
class Course:
    """One schedule of the learning rate over a run.

    *length* is after how many of its steps it changes nothing more, or begins anew; None where
    it goes on for ever or it cannot be told. *done* are the steps that it did in *updates* updates
    of the optimizer, *unit* is what a step of it stands for, "" where too few were seen; several
    steps an update are taken by batches whose gradients are accumulated. *early*
    says that it was stepped before the first update. *idle* is the share of the run's updates at
    less than a thousandth of the largest rate. *setting* is the name of the setting that *length*
    is, "" where it is none.
    """

    kind: str
    length: int | None
    done: int
    updates: int
    unit: Literal["batch", "update", "epoch", ""] = ""
    early: bool = False
    idle: float = 0.0
    setting: str = ""


def courses(
    schedulers: Sequence[SchedulerFacts], optimizer: OptimizerFacts, steps: Sequence[Step]
) -> list[Course]:
    """Return the course of each of torch's schedulers, and of thalweg's own in the groups."""
    idle = _idle(steps)
    updates = steps[-1].number if steps else 0
    own = dict.fromkeys(_own_lengths(optimizer))
    return [
        *(_of_scheduler(each, updates, idle) for each in schedulers),
        *(
            Course("Schedule", each, updates, updates, "update", False, idle, "steps")
            for each in own
        ),
    ]


def _own_lengths(optimizer: OptimizerFacts) -> Iterator[int | None]:
    for group in optimizer.groups:
        if "lr" in group.scheduled:
            yield group.scheduled["lr"]


def _of_scheduler(facts: SchedulerFacts, updates: int, idle: float) -> Course:
    done = facts.positions[-1][1] if facts.positions else 0
    first = facts.positions[0] if facts.positions else (0, 0)
    early, unit = first[0] == 1 and first[1] > 0, _unit(updates, done)
    return Course(
        facts.kind, length_of(facts), done, updates, unit, early, idle, _setting(facts)
    )  # fmt: skip


def _setting(facts: SchedulerFacts) -> str:
    return next((name for name in LENGTHS if name in facts.settings and not facts.parts), "")


def _unit(updates: int, done: int) -> Literal["batch", "update", "epoch", ""]:
    """Return what a step of a schedule stands for: more than one update is an epoch."""
    if done < 1 or updates < 2:
        return ""
    if done > 1.5 * updates + 1:
        return "batch"
    return "update" if updates < 1.5 * done + 1 else "epoch"


def length_of(facts: SchedulerFacts) -> int | None:
    """Return after how many of its steps a scheduler is at its end, None where it has none."""
    if facts.parts:
        return _joined(facts)
    named = [facts.settings[name] for name in LENGTHS if name in facts.settings]
    milestones: Any = facts.settings.get("milestones")
    length = named[0] if named else max(milestones, default=None) if milestones else None
    return None if length is None else int(length)


def _joined(facts: SchedulerFacts) -> int | None:
    """Return the length of schedulers one after the other, or of several at once."""
    lengths = [length_of(each) for each in facts.parts]
    if "milestones" in facts.settings:
        last, begun = lengths[-1], facts.settings["milestones"][-1]
        return None if last is None else int(begun + last)
    known = [each for each in lengths if each is not None]
    return max(known) if len(known) == len(lengths) else None


def _idle(steps: Sequence[Step]) -> float:
    """Return the share of updates at a rate that is as good as none."""
    rates = [max(each.lrs) for each in steps if each.lrs]
    largest = max(rates, default=0.0)
    return sum(each < NOTHING * largest for each in rates) / len(rates) if rates else 0.0
