"""A file is replaced whole or not at all, and once replaced it outlasts a crash."""

import errno
import os
import secrets
from pathlib import Path

from thalweg.errors import BadFile

_DATABASE = b"SQLite format 3\0"
"""How the file of one begins."""

_CANNOT_FLUSH = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EBADF, errno.ENOTSUP)
"""What a system answers that cannot flush the list of a folder's files."""


def replace(path: str | os.PathLike[str], content: bytes) -> None:
    """Put *content* into the file at *path*; whoever reads it meanwhile sees the old or the new.

    It is written beside the file, flushed to the disk and moved there. A link is followed. Raises
    OSError where that fails, with nothing left behind; until the move the old file is as it was. A
    database, such as a record, is never replaced.
    """
    place = Path(os.path.realpath(path))
    check_no_database(place)
    draft = place.with_name(f".{secrets.token_hex(8)}.draft")
    try:
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, place)
    finally:
        draft.unlink(missing_ok=True)
    _flush_folder(place.parent)


def write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Put *content* into the file at *path* as `replace` does, and return its absolute place.

    Raises BadFile where that fails.
    """
    place = Path(os.path.abspath(path))
    try:
        replace(place, content)
    except (OSError, ValueError) as error:
        raise refused(path, error) from error
    return place


def refused(path: str | os.PathLike[str], error: Exception) -> BadFile:
    """Return what to tell about a file that could not be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return BadFile(
        f"{os.fspath(path)!r} cannot be written: {reason}. Name a file in a folder that you can "
        "write to, on a disk with room."
    )


def check_no_database(place: Path) -> None:
    """Raise FileExistsError for an SQLite database, which nothing that is written here is."""
    if place.is_file() and place.open("rb").read(len(_DATABASE)) == _DATABASE:
        raise FileExistsError(errno.EEXIST, "it is a database, which would be lost")


def _flush_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
