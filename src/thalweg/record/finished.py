"""A run that had ended before it was recorded, so that many can be put down in one transaction."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from thalweg.record.events import (
    Event,
    checked_number,
    checked_step,
    checked_text,
    decode,
    encode,
    event_of,
)
from thalweg.record.store import Row, Store

_MEMBERS = (
    "SELECT id, name, hyper, seed, source, kind, started, ended, status FROM runs "
    "WHERE parent = ? AND ended IS NOT NULL ORDER BY rowid"
)
_THEIR_EVENTS = (
    "SELECT run, step, name, value, nan, data, time FROM events "
    "WHERE run IN (SELECT id FROM runs WHERE parent = ?) ORDER BY run, step, name"
)


@dataclass(frozen=True)
class Finished:
    """A run that has ended, with all its events: what `Record.begin` is given, and what it did.

    Times are in Unix seconds.
    """

    name: str
    hyper: Mapping[str, Any]
    started: float
    ended: float
    events: Sequence[Event] = ()
    seed: int = 0
    source: str | None = None
    kind: str = "train"
    status: str = "finished"


def new_id() -> str:
    """Return an id that no run has."""
    return secrets.token_hex(6)


def rows(runs: Iterable[Finished], parent: str | None, origin: Row) -> tuple[list, list]:
    """Return the rows of these runs and of their events; raise for what cannot be kept.

    *origin* is where they come from: provenance and process, as JSON.
    """
    found, events = [], []
    for run in runs:
        id = new_id()
        found.append((id, *_checked(run), parent, *origin, run.started, run.ended, run.status))
        events += [(id, *_checked_event(event)) for event in run.events]
    return found, events


def members(store: Store, parent: str) -> list[Finished]:
    """Return the runs that belong to another, in the order in which they were put down."""
    events = {
        id: tuple(event_of(row[1:]) for row in group)
        for id, group in groupby(store.read(_THEIR_EVENTS, (parent,)), key=lambda row: row[0])
    }
    return [
        Finished(
            name,
            decode(hyper, f"the settings of run {id}"),
            started,
            ended,
            events.get(id, ()),
            seed,
            source,
            kind,
            status,
        )
        for id, name, hyper, seed, source, kind, started, ended, status in store.read(
            _MEMBERS, (parent,)
        )
    ]


def _checked(run: Finished) -> Row:
    checked_text(run.status, "the status of a run")
    return (
        checked_text(run.name, "the name of a run"),
        checked_text(run.kind, "the kind of a run"),
        encode(dict(run.hyper), "the hyperparameters"),
        checked_step(run.seed, "seed"),
        run.source,
    )


def _checked_event(event: Event) -> Row:
    name = checked_text(event.name, "the name of an event")
    value = None if event.value is None else checked_number(event.value, name)
    data = None if event.data is None else encode(event.data, f"the data of {name!r}")
    return name, checked_step(event.step, name), value, value != value, data, event.time
