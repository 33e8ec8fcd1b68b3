"""A run while it is being written: events wait in memory until a flush puts them on the disk."""

from collections.abc import Callable
from contextlib import suppress
from time import time
from types import TracebackType
from typing import Any

from thalweg.errors import BadFile, BadValue
from thalweg.record.events import STEPS, checked_number, checked_step, checked_text, encode
from thalweg.record.store import Statement, Store

WAITING = 10_000
"""Events that may wait in memory; one more and all of them are flushed."""

KEEP = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"
"""Puts an event down; of those with the same run, name and step the first is kept."""

_END = "UPDATE runs SET status = ?, ended = ? WHERE id = ?"


class Run:
    """What is happening in one run.

    Of events with the same name and step the first is kept. A run that is resumed repeats the
    updates after its last checkpoint, and because it repeats them bit for bit, what it says again
    has been said: nothing is doubled and nothing is lost.

    As a context manager it ends as ``finished``, ``interrupted`` (Ctrl-C) or ``failed``. An error
    goes on even where that cannot be written.
    """

    def __init__(self, store: Store, id: str, forget: Callable[["Run"], None]) -> None:
        self.id = id
        self._store = store
        self._forget = forget
        self._waiting: list[tuple] = []
        self._names: set[str] = set()
        self._ended = False

    def emit(self, name: str, step: int, value: float | None = None, data: Any = None) -> None:
        """Note a number, which may be NaN or infinite, and JSON data, or either, at a step."""
        if self._ended:
            raise BadValue(f"run {self.id} has ended. Go on with it through `book.resume`.")
        if name not in self._names:
            self._names.add(checked_text(name, "the name of an event"))
        if type(step) is not int or step not in STEPS:
            step = checked_step(step, name)
        if value is not None and type(value) is not float:
            value = checked_number(value, name)
        if data is not None:
            data = encode(data, f"the data of {name!r}")
        # SQLite has no NaN and would keep NULL: whether a number is one stands beside it.
        self._waiting.append((self.id, name, step, value, value != value, data, time()))
        if len(self._waiting) > WAITING:
            self.flush()

    def flush(self) -> None:
        """Put all that was emitted on the disk, in one transaction that outlives a power cut.

        Where that fails with BadFile, the events go on waiting and the next flush takes them too.
        """
        if self._waiting:
            self._write()

    def end(self, status: str) -> None:
        """Flush, and say how the run ended: ``finished``, ``interrupted``, ``failed`` or another.

        A run that has ended already is left as it is.
        """
        if self._ended:
            return
        self._write((_END, [(checked_text(status, "the status of a run"), time(), self.id)]))
        self._ended = True
        self._forget(self)

    def _write(self, *also: Statement) -> None:
        events = self._waiting[:]
        self._store.write((KEEP, events), *also)
        del self._waiting[: len(events)]

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.end("finished")
            return
        with suppress(BadFile):
            self.end("failed" if issubclass(kind, Exception) else "interrupted")
