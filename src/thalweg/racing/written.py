"""A race as a record keeps it: its header as JSON, each of its trainings as a run with events."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from thalweg.algebra import Range
from thalweg.errors import BadFile
from thalweg.racing.result import Epoch, Header, Run, Task, Terms
from thalweg.racing.space import Axis, Space
from thalweg.record import Event, Finished, RunSummary

FORMAT = 1
"""The number of this form; a race that was recorded in another is refused."""


def header_as_json(header: Header) -> dict[str, Any]:
    """Return a header as JSON can hold it."""
    return asdict(header)


def header_of(race: RunSummary) -> Header:
    """Return the header of a recorded race; BadFile where it was recorded in another form."""
    number = race.hyper.get("format")
    if number != FORMAT:
        raise BadFile(
            f"race {race.id} was recorded in form {number}, and this thalweg reads {FORMAT}. Look "
            f"at it with the version that recorded it, {race.provenance.get('thalweg')}, or race "
            "again."
        )
    data = race.hyper["header"]
    terms = data["terms"]
    return Header(
        **{
            **data,
            "rules": tuple(data["rules"]),
            "terms": Terms(**{**terms, "search": tuple(terms["search"])}),
            "spaces": {rule: _space(each) for rule, each in data["spaces"].items()},
        }
    )


def finished(header: Header, run: Run, source: str) -> Finished:
    """Return a training as a record keeps it; *source* tells one text of its rule from another."""
    now = time.time()
    return Finished(
        name=header.problem,
        hyper={"rule": run.task.rule, **run.task.setting},
        started=now - run.seconds,
        ended=now,
        events=tuple(_events(header, run, now)),
        seed=run.task.seed,
        source=source,
        kind=run.task.phase,
        status="diverged" if run.failed else "finished",
    )


def run_of(kept: Finished) -> Run:
    """Return the training that a record keeps so; BadFile where it is not all there."""
    try:
        return _run_of(kept)
    except (KeyError, TypeError, ValueError) as error:
        raise BadFile(
            f"the record is damaged: a {kept.kind} of {kept.name} with seed {kept.seed} lacks what "
            f"a race writes down ({type(error).__name__}: {error}). It was changed by something "
            "else than thalweg; restore the file from a copy, or race again."
        ) from error


def _run_of(kept: Finished) -> Run:
    setting = dict(kept.hyper)
    task = Task(kept.kind, setting.pop("rule"), setting, kept.seed)
    events: dict[str, list[Event]] = {}
    for event in kept.events:
        events.setdefault(event.name, []).append(event)
    (seconds,) = events["seconds"]
    (test,) = events.get("test", [None])
    return Run(
        task=task,
        curve=tuple(_epoch(event) for event in events["epoch"]),
        seconds=seconds.value or 0.0,
        test_loss=test and test.value,
        test_accuracy=test and test.data["accuracy"],
    )


def _events(header: Header, run: Run, now: float) -> Iterator[Event]:
    """Yield what happened in a training, under the names that `fit` gives it."""
    for epoch in run.curve:
        told = {
            "running_loss": epoch.train_loss,
            "valid_loss": epoch.validation_loss,
            "valid_accuracy": epoch.validation_accuracy,
        }
        yield Event(epoch.number, "epoch", epoch.validation_loss, told, now)
    last = run.curve[-1].number
    yield Event(last, "seconds", run.seconds, None, now)
    if run.test_loss is not None:
        data = {"accuracy": run.test_accuracy}
        yield Event(last * header.updates, "test", run.test_loss, data, now)


def _epoch(event: Event) -> Epoch:
    data = event.data
    return Epoch(event.step, data["running_loss"], data["valid_loss"], data["valid_accuracy"])


def _space(data: Mapping[str, Any]) -> Space:
    return Space(data["rule"], tuple(map(_axis, data["axes"])))


def _axis(data: Mapping[str, Any]) -> Axis:
    search = data["legal"]["search"]
    legal = Range(**{**data["legal"], "search": search and tuple(search)})
    return Axis(**{**data, "legal": legal})
