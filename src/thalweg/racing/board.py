"""The board: what the runs of a race say about each rule, best first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median as middle

from thalweg.racing.protocol import Course, chosen, of, target_runs
from thalweg.racing.result import FINAL, TRIAL, Header, Result, Row, Run
from thalweg.racing.statistics import reached, undertuned

SHARE = 0.75
"""Within which part of the epochs the reference sets the target, so that others can reach it."""


def conclude(header: Header, course: Course, remarks: Iterable[str] = ()) -> Result:
    """Return the result of a race that went so."""
    target = target_of(header, course.runs)
    rows = [_row(header, course, rule, target) for rule in header.rules]
    lost = undertuned({row.rule: row.losses for row in rows})
    names = {
        row.rule: tuple(header.names[each.lost_to] for each in lost if each.rule == row.rule)
        for row in rows
    }
    board = [replace(row, lost_to=names[row.rule]) for row in rows]
    ranked = sorted(board, key=lambda row: row.loss.value)
    return Result(
        header, course.runs, tuple(ranked), course.spaces, course.extended, target, tuple(remarks)
    )


def target_of(header: Header, runs: Sequence[Run]) -> float | None:
    """Return the target: the one given, or the median of what the reference reaches on each seed.

    That is its lowest value within the first three quarters of the epochs, infinite for a seed with
    which it diverged. None where there is no reference, or where the median is infinite.
    """
    if header.terms.target is not None:
        return header.terms.target
    horizon = math.ceil(SHARE * header.epochs)
    lowest = [
        math.inf
        if run.failed
        else min(epoch.value(header.terms.metric) for epoch in run.curve[:horizon])
        for run in target_runs(header, runs)
    ]
    found = middle(lowest) if lowest else math.inf
    return found if math.isfinite(found) else None


def _row(header: Header, course: Course, rule: str, target: float | None) -> Row:
    metric = header.terms.metric
    trials, finals = (of(course.runs, rule, phase) for phase in (TRIAL, FINAL))
    best = chosen(header, trials)
    tried = [run.task.setting for run in trials]
    searched = header.terms.trials > 1 and not best.failed
    return Row(
        name=header.names[rule],
        setting=best.task.setting,
        losses=tuple(run.value(metric) for run in finals),
        times=() if target is None else tuple(arrival(header, run, target) for run in finals),
        edges=course.spaces[rule].on_edge(best.task.setting, tried) if searched else {},
        rule=rule,
        trials=tuple(run.value(metric) for run in trials),
        accuracies=tuple(run.accuracy for run in finals),
        test_losses=tuple(run.test_loss for run in finals if run.test_loss is not None),
        test_accuracies=tuple(run.test_accuracy for run in finals if run.test_accuracy is not None),
        seconds=sum(run.seconds for run in (*trials, *finals)),
    )


def arrival(header: Header, run: Run, target: float) -> float:
    """Return after how many updates a run was first seen at the target or below it."""
    metric = header.terms.metric
    curve = ((epoch.number * header.updates, epoch.value(metric)) for epoch in run.curve)
    return reached(curve, target)
