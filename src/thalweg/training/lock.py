"""One training at a time writes into a folder: a lock that ends when its process does."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from thalweg.errors import BadFile

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
"""The empty file that is locked; it stays, because taking it away would let two in."""

_TAKEN = (errno.EACCES, errno.EAGAIN)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and keep other processes out, where the system has locks for files.

    Raises BadFile where nothing can be written there, or another process is at it. Processes that
    are forked meanwhile, such as workers of a loader, do not hold the lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / NAME, "ab")  # noqa: SIM115
    except OSError as error:
        raise BadFile(f"{folder} cannot hold checkpoints: {error.strerror}.") from error
    with file:
        _take(file, folder)
        yield


def _take(file: IO[bytes], folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            raise BadFile(
                f"another training writes its checkpoints to {folder}. Wait for its end, end it, "
                "or name another folder."
            ) from error
