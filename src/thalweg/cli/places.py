"""The files a command is given: each its own, and named again in the command that goes on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from thalweg import record, report
from thalweg.errors import BadFile, BadValue


def check_distinct(places: Mapping[str, Path | None]) -> None:
    """Refuse two options that name the same file; one without a value names none."""
    found: dict[Path, str] = {}
    for name, place in places.items():
        if place is not None:
            other = found.setdefault(place.resolve(), name)
            if other != name:
                raise BadValue(f"{other} and {name} are both {str(place)!r}; name two places.")


def check_written(places: Mapping[str, Path | None]) -> None:
    """Refuse a page or weights that cannot be written where they are to be, before any work.

    *places* has ``--out``, ``--save``, ``--record`` and others that must not be one of these.
    """
    for name, check in {"--out": report.check_page, "--save": report.check_path}.items():
        if place := places[name]:
            check(place)
    check_distinct({**places, "--record": record.open(places["--record"]).path})


def check_there(record: Path | None) -> None:
    """Refuse the name of a record that does not exist; the default one need not."""
    if record is not None and not os.path.exists(record):
        raise BadFile(f"there is no record {str(record)!r}. Name the file that a training wrote.")


def command(*words: str, **options: Any) -> str:
    """Return a command as it is typed; an option without a value is left out."""
    given = [[f"--{name}", str(value)] for name, value in options.items() if value is not None]
    return shlex.join(["thalweg", *words, *chain(*given)])
