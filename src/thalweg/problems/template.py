"""A new problem file starts as a small one that runs."""

import os
from importlib import resources
from pathlib import Path

from thalweg import files
from thalweg.errors import BadFile, BadValue


def write_template(path: str | os.PathLike[str]) -> Path:
    """Write a commented problem file to ``path``, which must not exist, and return its place.

    The file appears whole or not at all. Raises BadValue for a name that Python cannot import and
    BadFile where the file exists already or cannot be written.
    """
    place = Path(path).resolve()
    if place.suffix != ".py" or not place.stem.isidentifier():
        raise BadValue(
            f"{place.name!r} should be a name that Python can import, such as my_problem.py."
        )
    text = (
        resources.files("thalweg.problems").joinpath("template.py.txt").read_text(encoding="utf-8")
    )
    try:
        _write(place, text.replace("{name}", place.name))
    except FileExistsError as error:
        raise BadFile(f"{place} exists already; name a file that does not.") from error
    except OSError as error:
        raise files.refused(place, error) from error
    return place


def _write(place: Path, text: str) -> None:
    """Write a draft and link it to its name, which fails where the name is taken."""
    draft = place.with_name(f".{place.name}.{os.getpid()}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        os.link(draft, place)
    finally:
        draft.unlink(missing_ok=True)
