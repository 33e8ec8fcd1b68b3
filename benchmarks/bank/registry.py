"""All runs: whatever the rooms of this package hold, in the order in which they are written."""

import importlib

from .run import Run

ROOMS = ("healthy", "numbers", "rates", "terrain", "layers", "wiring", "schedules", "data")


def runs(word: str = "") -> list[Run]:
    """Return the runs with *word* in their name, or for which it is an expected code."""
    rooms = [importlib.import_module(f".{room}", __package__) for room in ROOMS]
    every = [each for room in rooms for each in vars(room).values() if isinstance(each, Run)]
    return [each for each in every if word in each.name or word.upper() in each.codes]
