"""The file under a record: SQLite, checked when it is opened, written in short transactions."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from thalweg.errors import BadFile, BadValue

APPLICATION = 0x7468776C
"""What the header of a record's file carries, so that no other database is taken for one."""

VERSION = 1
"""The version of the schema below, in the header of the file as ``user_version``."""

PATIENCE = 60.0
"""Seconds for which a locked file is tried again before that becomes an error."""

WAIT = 5.0
"""Seconds for which SQLite itself waits for a lock before it reports one."""

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS runs (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        hyper TEXT NOT NULL,
        seed INTEGER NOT NULL,
        source TEXT,
        parent TEXT,
        provenance TEXT NOT NULL,
        process TEXT NOT NULL,
        started REAL NOT NULL,
        ended REAL,
        status TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS events (
        run TEXT NOT NULL,
        name TEXT NOT NULL,
        step INTEGER NOT NULL,
        value REAL,
        nan INTEGER NOT NULL,
        data TEXT,
        time REAL NOT NULL,
        PRIMARY KEY (run, name, step)
    ) WITHOUT ROWID
    """,
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)

Row = Sequence[Any]
Statement = tuple[str, Sequence[Row]]
Answer = TypeVar("Answer")

_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_LOCKED = (
    f"another process has kept it locked for {PATIENCE:.0f} seconds. Let that process end, or name "
    "another file; a record on a network file system cannot be shared"
)
_CLOSED = "this account may not open or write it. Name a file in a folder you can write to"
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full. Free some space and go on",
    sqlite3.SQLITE_NOTADB: "it is not a record of thalweg. Name another file",
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged. Save what `sqlite3 FILE .recover` can read of it, and name another file"
    ),
    sqlite3.SQLITE_READONLY: _CLOSED,
    sqlite3.SQLITE_CANTOPEN: _CLOSED,
    **dict.fromkeys(_PASSING, _LOCKED),
}


class Store:
    """One SQLite file for one process: made by the first write, not before, and read while written.

    Threads take turns. Everything that goes wrong with the file is a BadFile that says what to do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._owner: int | None = os.getpid()

    def read(self, query: str, values: Row = ()) -> list[tuple]:
        """Return the rows of a query; none where there is no file yet."""

        def act() -> list[tuple]:
            connection = self._opened(creating=False)
            return connection.execute(query, values).fetchall() if connection else []

        return self._patiently(act)

    def write(self, *statements: Statement) -> None:
        """Run each statement once for each of its rows: all of them, on the disk, or none."""

        def act() -> None:
            connection = self._opened(creating=True)
            assert connection is not None
            self._check_in_place()
            _transact(connection, statements)

        self._patiently(act)

    def close(self) -> None:
        """Let go of the file; what is asked of it afterwards is refused."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._owner = None

    def _patiently(self, act: Callable[[], Answer]) -> Answer:
        self._check_owner()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self._lock:
                    return act()
            except sqlite3.Error as error:
                if _code(error) not in _PASSING or time.monotonic() > deadline:
                    raise _refused(self.path, error) from error
            except PermissionError as error:
                raise BadFile(
                    f"the record {str(self.path)!r} cannot be used: {_CLOSED}."
                ) from error
            time.sleep(0.01)

    def _check_owner(self) -> None:
        if self._owner is None:
            raise BadValue(f"the record {str(self.path)!r} is closed. Open it again.")
        if self._owner != os.getpid():
            raise BadValue(
                f"the record {str(self.path)!r} was opened by process {self._owner}, before this "
                "one was forked from it. Open it again in this process."
            )

    def _check_in_place(self) -> None:
        if self._file != _identity(self.path):
            raise BadFile(
                f"the record {str(self.path)!r} was removed or replaced while it was open, so "
                "nothing more can be added. Put the file back, or begin anew with another one."
            )

    def _opened(self, creating: bool) -> sqlite3.Connection | None:
        if self._connection is None:
            _check_place(self.path)
            if creating or self.path.exists():
                self._connection = _connected(self.path, creating)
                self._file = _identity(self.path)
        return self._connection


def _refused(path: Path, error: sqlite3.Error) -> BadFile:
    """Return what to tell about a file that SQLite could not use."""
    reason = _REASONS.get(_code(error), f"{error}. Check the disk, or name another file")
    return BadFile(f"the record {str(path)!r} cannot be used: {reason}.")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise BadFile(
            f"the record {str(path)!r} cannot be used: there is no folder {path.parent}. Create "
            "it, or name a file in one that exists."
        )
    if path.exists() and not path.is_file():
        raise BadFile(f"{str(path)!r} is not an ordinary file; name another one for the record.")


def _connected(path: Path, creating: bool) -> sqlite3.Connection | None:
    """Open a file that is a record, or one that shall become one; None for one still empty."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?{_mode(path, creating)}",
        uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False,
    )  # fmt: skip
    try:
        if not _is_record(connection, path):
            if not creating:
                connection.close()
                return None
            _create(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _mode(path: Path, creating: bool) -> str:
    """Choose how SQLite opens the file; one at rest in a folder that is read-only needs no lock."""
    if creating:
        return "mode=rwc"
    at_rest = not path.with_name(f"{path.name}-wal").exists()
    read_only = not os.access(path.parent, os.W_OK) or not os.access(path, os.W_OK)
    return "mode=ro&immutable=1" if read_only and at_rest else "mode=rw"


def _is_record(connection: sqlite3.Connection, path: Path) -> bool:
    """Say whether the file is a record, not still empty; raise BadFile where it is neither.

    It is looked at in one transaction: another process may be making a record of it just now.
    """
    connection.execute("BEGIN")
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    ((objects,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    connection.execute("COMMIT")
    if (application, version, objects) == (0, 0, 0):
        return False
    if application != APPLICATION:
        raise BadFile(
            f"{str(path)!r} is a database, but not a record of thalweg. It was left as it is; name "
            "another file."
        )
    if version > VERSION:
        raise BadFile(
            f"the record {str(path)!r} has version {version} of the schema, and this thalweg knows "
            f"{VERSION}. Install a newer thalweg, or name another file."
        )
    return True


def _create(connection: sqlite3.Connection, path: Path) -> None:
    ((journal,),) = connection.execute("PRAGMA journal_mode = WAL")
    if journal != "wal":
        raise BadFile(
            f"the record {str(path)!r} cannot be used: its file system has no shared memory, which "
            "SQLite's write-ahead log needs. Name a file on a local disk."
        )
    connection.execute("PRAGMA synchronous = FULL")
    _transact(connection, [(statement, [()]) for statement in SCHEMA])


def _transact(connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement, rows in statements:
            connection.executemany(statement, rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
