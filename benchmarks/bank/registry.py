"""All runs: whatever the rooms of this package hold, in the order in which they are written."""

import importlib

from .run import Run

ROOMS = ("healthy", "numbers", "rates", "terrain", "layers", "wiring", "schedules", "data")


def runs(word: str = "") -> list[Run]:
    """Return the runs with *word* in their name, or for which a code that begins so is expected."""
    rooms = [importlib.import_module(f".{room}", __package__) for room in ROOMS]
    every = [each for room in rooms for each in vars(room).values() if isinstance(each, Run)]
    return [each for each in every if word in each.name or _expects(each, word.upper())]


def _expects(run: Run, code: str) -> bool:
    return any(each.startswith(code) for each in run.codes)
