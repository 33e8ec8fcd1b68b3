"""A report is written whole or not at all, and a path that cannot work is refused beforehand."""

import os
import stat
import tempfile
from pathlib import Path

from thalweg import files
from thalweg.errors import BadFile


def check_path(path: str | os.PathLike[str]) -> Path:
    """Return the absolute place of ``path``, or raise BadFile where no file can be written there.

    An existing file is accepted, because writing replaces it, unless it is a database, such as a
    record, or Python source. Nothing is left behind.
    """
    try:
        place = Path(path).resolve()
        _check_kind(place, path)
        files.check_no_database(place)
        with tempfile.TemporaryFile(dir=place.parent):
            return place
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, BadFile):
            raise
        raise files.refused(path, error) from error


ENDINGS = ("", ".html", ".htm", ".json", ".csv")
"""How the names of pages and data may end; without an ending it is a page."""


def check_page(path: str | os.PathLike[str]) -> Path:
    """Return the absolute place of a page or of data, as `check_path` does.

    What ends as neither is refused, too.
    """
    place = check_path(path)
    if place.suffix.lower() not in ENDINGS:
        raise BadFile(
            f"{os.fspath(path)!r} ends in {place.suffix}, which nothing here is written as: a page "
            "ends in .html, data end in .json or .csv."
        )
    return place


def write(path: str | os.PathLike[str], text: str) -> Path:
    """Write ``text`` to ``path`` in UTF-8, replacing what is there in one move; return its place.

    Raises BadFile where that fails, with the old file as it was.
    """
    return files.write(check_path(path), text.encode())


def _check_kind(place: Path, given: str | os.PathLike[str]) -> None:
    shown = os.fspath(given)
    if not place.parent.is_dir():
        raise BadFile(
            f"{shown!r} cannot be written: there is no folder {place.parent}. Create it, or name "
            "a file in one that exists."
        )
    mode = _mode(place)
    if stat.S_ISDIR(mode):
        raise BadFile(f"{shown!r} is a folder; name a file in it, such as {place / 'race.html'}.")
    if mode and not stat.S_ISREG(mode):
        raise BadFile(f"{shown!r} is not an ordinary file; name another one for the page.")
    if mode and place.suffix == ".py":
        raise BadFile(f"{shown!r} is a Python file, which would be lost; name another one.")


def _mode(place: Path) -> int:
    try:
        return place.stat().st_mode
    except FileNotFoundError:
        return 0
