"""What a shard has made and lost, in a file that outlives its process."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

_FORM = struct.Struct("<4q")


class Entry(NamedTuple):
    """The updates of a shard, the pushes of its open round, and what was lost with its deaths."""

    updates: int = 0
    gathered: int = 0
    lost_updates: int = 0
    lost_pushes: int = 0


class Ledger:
    """The entry of one shard, kept in a folder.

    What was written stays when the process is killed, because it is the system's by then. It is
    taken up by a process that begins *again*, and by no other.
    """

    def __init__(self, folder: Path, again: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / "ledger", os.O_RDWR | os.O_CREAT, 0o600)
        content = os.pread(self._file, _FORM.size, 0) if again else b""
        self.entry = Entry(*_FORM.unpack(content)) if content else Entry()

    def note(self, updates: int, gathered: int) -> None:
        """Write down where the shard stands."""
        self._write(self.entry._replace(updates=updates, gathered=gathered))

    def note_death(self, updates: int) -> None:
        """Write down that the shard goes on from an earlier update, with no round open."""
        last = self.entry
        lost_updates = last.lost_updates + last.updates - updates
        self._write(Entry(updates, 0, lost_updates, last.lost_pushes + last.gathered))

    def _write(self, entry: Entry) -> None:
        self.entry = entry
        os.pwrite(self._file, _FORM.pack(*entry), 0)
