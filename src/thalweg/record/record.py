"""A record of runs: begun, resumed and read back, by several processes at once."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

from thalweg.errors import BadFile, BadValue, UnknownName
from thalweg.record.events import (
    Event,
    checked_step,
    checked_text,
    decode,
    encode,
    event_of,
    numbers,
)
from thalweg.record.finished import Finished, members, new_id, rows
from thalweg.record.provenance import lives, process, provenance
from thalweg.record.run import KEEP, Run
from thalweg.record.store import Store

PLACE = "thalweg.db"
"""The file of a record where neither a path nor THALWEG_RECORD names another."""

_COLUMNS = (
    "id, name, kind, hyper, seed, source, parent, provenance, process, started, ended, status"
)
_BEGIN = f"INSERT INTO runs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_RESUME = (
    "UPDATE runs SET process = ?, ended = NULL, status = 'running' WHERE id = ? AND process = ?"
)
_RUNS = f"SELECT {_COLUMNS} FROM runs"
_CHOSEN = (
    f"{_RUNS} WHERE kind = ifnull(?, kind) AND name = ifnull(?, name) "
    "AND parent IS ifnull(?, parent) "
    "AND ifnull(parent, '') NOT IN (SELECT id FROM runs WHERE kind = ?) ORDER BY started, rowid"
)
_EVENTS = "SELECT step, name, value, nan, data, time FROM events WHERE run = ?"
_NEXT_NAME = "SELECT min(name) FROM events WHERE run = ? AND name > ?"


@dataclass(frozen=True)
class RunSummary:
    """What a run is, how it stands, and the last event of each name; times in Unix seconds.

    ``status`` is what the run said when it ended, or else ``running``; ``running?`` where this
    machine cannot tell, and ``died`` where its process is gone without a word.
    """

    id: str
    name: str
    kind: str
    hyper: Mapping[str, Any]
    seed: int
    source: str | None
    parent: str | None
    provenance: Mapping[str, Any]
    started: float
    ended: float | None
    status: str
    events: Mapping[str, Event]

    @property
    def step(self) -> int | None:
        """The highest step of any event; None before the first."""
        return max((event.step for event in self.events.values()), default=None)

    @property
    def last(self) -> dict[str, float]:
        """The last number of each name; those in an event's data as ``event/key``."""
        return dict(pair for event in self.events.values() for pair in numbers(event))


class Record:
    """Runs and their events in one SQLite file that several processes may write and read at once.

    The file is made when the first run begins. As a context manager, or through ``close``, it ends
    as ``interrupted`` what is still open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store = Store(path)
        self._open: list[Run] = []

    def begin(
        self,
        name: str,
        hyper: Mapping[str, Any],
        seed: int = 0,
        source: str | None = None,
        kind: str = "train",
        parent: str | None = None,
        threads: int | None = None,
    ) -> Run:
        """Begin a run of a problem or experiment ``name``, with its settings.

        ``source`` is a hash of the rule's source, ``parent`` the run that this one belongs to.
        Raises BadType where the settings are not JSON, BadFile where the file cannot be written.
        """
        row = (
            checked_text(name, "the name of a run"),
            checked_text(kind, "the kind of a run"),
            encode(dict(hyper), "the hyperparameters"),
            checked_step(seed, "seed"),
            source,
            parent and self.find(parent).id,
            *_origin(threads),
        )
        id = new_id()
        self._store.write((_BEGIN, [(id, *row, time(), None, "running")]))
        return self._opened(id)

    def add(
        self, runs: Iterable[Finished], parent: str | None = None, threads: int | None = None
    ) -> None:
        """Put down runs that have ended, with their events: all of them, on the disk, or none.

        It is one transaction, however many there are. ``parent`` is the run they belong to. Raises
        BadType or BadValue for what cannot be kept, BadFile where the file cannot be written.
        """
        parent = parent and self.find(parent).id
        found, events = rows(runs, parent, _origin(threads))
        self._store.write((_BEGIN, found), (KEEP, events))

    def members(self, parent: str) -> list[Finished]:
        """Return the runs that belong to another and have ended, in the order they were put down.

        With all their events, read at one go.
        """
        return members(self._store, self.find(parent).id)

    def resume(self, id: str) -> Run:
        """Go on writing to an earlier run; where and with what is noted as its event ``resumed``.

        Raises UnknownName where there is none, BadValue where another process still writes it.
        """
        earlier = self.find(id)
        before, own = self._checked_free(earlier.id), json.dumps(process())
        self._end_all(each for each in self._open if each.id == earlier.id)
        self._store.write((_RESUME, [(own, earlier.id, before)]))
        if self._checked_free(earlier.id) != own:
            raise BadValue(f"run {earlier.id} was resumed by another process at this very moment.")
        run = self._opened(earlier.id)
        count = earlier.events["resumed"].step if "resumed" in earlier.events else 0
        run.emit("resumed", count + 1, None, provenance(earlier.provenance["threads"]))
        run.flush()
        return run

    def runs(
        self, kind: str | None = None, name: str | None = None, parent: str | None = None,
        outside: str | None = None,
    ) -> list[RunSummary]:  # fmt: skip
        """Return the runs, all or those of a kind, name or parent, in the order they began.

        Those that belong to a run of the kind ``outside`` are left out.
        """
        chosen = self._store.read(_CHOSEN, (kind, name, parent, outside))
        return [self._summary(row) for row in chosen]

    def find(self, id: str) -> RunSummary:
        """Return the run whose id is, or alone begins with, ``id``; raises UnknownName."""
        checked_text(id, "the id of a run")
        rows = self._store.read(f"{_RUNS} WHERE substr(id, 1, length(?1)) = ?1", (id.lower(),))
        if len(rows) == 1:
            return self._summary(rows[0])
        if rows:
            known = ", ".join(row[0] for row in rows[:5])
            raise UnknownName(f"{len(rows)} runs begin with {id!r}: {known}. Give more of the id.")
        raise UnknownName(
            f"there is no run {id!r} in {str(self.path)!r}. `thalweg runs` lists those there are."
        )

    def events(self, id: str, name: str | None = None) -> list[Event]:
        """Return the events of a run, all or those of one name, in the order of their steps."""
        chosen, values = ("", ()) if name is None else (" AND name = ?", (name,))
        query = f"{_EVENTS}{chosen} ORDER BY step, name"
        return [event_of(row) for row in self._store.read(query, (self.find(id).id, *values))]

    def close(self) -> None:
        """End as ``interrupted`` the runs that have not ended, and let go of the file."""
        try:
            self._end_all(self._open)
        finally:
            self._store.close()

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end_all(self, runs: Iterable[Run]) -> None:
        for run in list(runs):
            run.end("interrupted")

    def _opened(self, id: str) -> Run:
        run = Run(self._store, id, self._open.remove)
        self._open.append(run)
        return run

    def _checked_free(self, id: str) -> str:
        """Return which process wrote a run last; BadValue where it is another, and still writes."""
        ((status, text),) = self._store.read("SELECT status, process FROM runs WHERE id = ?", (id,))
        writer = json.loads(text)
        if status == "running" and writer["pid"] != os.getpid() and lives(writer):
            raise BadValue(
                f"run {id} is still being written by process {writer['pid']}. Wait for its end, or "
                "end it first."
            )
        return text

    def _summary(self, row: tuple) -> RunSummary:
        id, name, kind, hyper, seed, source, parent, origin, writer, started, ended, status = row
        if status == "running":
            status = {True: "running", None: "running?", False: "died"}[lives(json.loads(writer))]
        return RunSummary(
            id, name, kind, decode(hyper, f"the settings of run {id}"), seed, source, parent,
            decode(origin, f"the origin of run {id}"),
            started, ended, status, {event.name: event for event in self._last(id)},
        )  # fmt: skip

    def _last(self, id: str) -> Iterator[Event]:
        """Yield the last event of each name, found through the key and not by reading them all."""
        name = ""
        while (name := self._store.read(_NEXT_NAME, (id, name))[0][0]) is not None:
            (row,) = self._store.read(
                f"{_EVENTS} AND name = ? ORDER BY step DESC LIMIT 1", (id, name)
            )
            yield event_of(row)


def open(path: str | os.PathLike[str] | None = None) -> Record:
    """Return the record at ``path``, else at THALWEG_RECORD, else at ``./thalweg.db``.

    It need not exist yet. Raises BadFile where no file can have such a name.
    """
    given = path or os.environ.get("THALWEG_RECORD") or PLACE
    place = Path(os.path.abspath(given))
    if "\0" in str(place):
        raise BadFile(f"no file can be called {given!r}; name another one for the record.")
    return Record(place)


def _origin(threads: int | None) -> tuple[str, str]:
    """Return as JSON where a run comes from: versions and command, and the process."""
    return json.dumps(provenance(threads)), json.dumps(process())
