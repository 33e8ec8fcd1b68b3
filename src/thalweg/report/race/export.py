"""A race as data for other programs: everything as JSON, or a line for each training as CSV.

Infinity is a run that diverged, or a target never reached. A race that is repeated gives the same
text, apart from times, which are called ``seconds``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from thalweg.racing import Epoch, Header, Result, Row, Run
from thalweg.racing.board import arrival
from thalweg.racing.space import Space
from thalweg.report.data import Entry, as_object, tabled


def as_json(result: Result) -> str:
    """Return the whole race as JSON, each rule and each run on a line of its own."""
    return as_object(_whole(result))


def _whole(result: Result) -> dict[str, Any]:
    return {
        "verdict": result.verdict,
        "header": _header(result.header),
        "spaces": _spaces(result.spaces),
        "extended": result.extended,
        "target": result.target,
        "remarks": result.remarks,
        "board": [_row(row) for row in result.board],
        "runs": [_run(run, result) for run in result.runs],
    }


def _header(header: Header) -> dict[str, Any]:
    fields = {name: value for name, value in vars(header).items() if name != "spaces"}
    return fields | {"terms": asdict(header.terms), "spaces": _spaces(header.spaces)}


def _spaces(spaces: Mapping[str, Space]) -> dict[str, Any]:
    return {
        rule: [
            {"name": axis.name, "low": axis.low, "high": axis.high, "scale": axis.scale}
            for axis in space.axes
        ]
        for rule, space in spaces.items()
    }


def _row(row: Row) -> dict[str, Any]:
    return asdict(row) | {"median": row.loss._asdict()}


def _run(run: Run, result: Result) -> dict[str, Any]:
    return {
        **asdict(run.task),
        "test_loss": run.test_loss,
        "test_accuracy": run.test_accuracy,
        "updates_to_target": _arrival(run, result),
        "seconds": run.seconds,
        "curve": {name: [getattr(epoch, name) for epoch in run.curve] for name in _CURVES},
    }


_CURVES = tuple(name for name in Epoch.__dataclass_fields__ if name != "number")


def _arrival(run: Run, result: Result) -> float | None:
    return None if result.target is None else arrival(result.header, run, result.target)


def as_csv(result: Result) -> str:
    """Return a table with a line for each training, in the order in which they were done."""
    return tabled(entries(result))


def names(result: Result) -> list[str]:
    """Return what is told of every training."""
    return list(next(entries(result)))


def entries(result: Result) -> Iterator[Entry]:
    """Yield what each training was for, its setting, and what came of it."""
    spaces = result.header.spaces.values()
    searched = list(dict.fromkeys(axis.name for space in spaces for axis in space.axes))
    for run in result.runs:
        task = run.task
        yield {
            "phase": task.phase,
            "rule": task.rule,
            **{name: task.setting.get(name) for name in searched},
            "seed": task.seed,
            **_outcome(run, result),
        }


def _outcome(run: Run, result: Result) -> Entry:
    metric = result.header.terms.metric
    decided = {} if metric == "loss" else {f"validation_{metric}": run.value(metric)}
    return {
        **decided,
        "validation_loss": run.loss,
        "validation_accuracy": run.accuracy,
        "test_loss": run.test_loss,
        "test_accuracy": run.test_accuracy,
        "updates_to_target": _arrival(run, result),
        "seconds": run.seconds,
    }
