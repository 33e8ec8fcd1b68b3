"""A contest as data for other programs: its profiles, and all that its races have.

What is infinite or missing is written as in the data of one race.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from thalweg.racing import Contest
from thalweg.report.data import Entry, dumped, tabled
from thalweg.report.race import export
from thalweg.report.race.export import entries


def as_json(contest: Contest) -> str:
    """Return the whole contest as JSON: ``verdict``, ``profiles`` by rule, and ``results``."""
    races = ",\n".join(export.as_json(result).rstrip() for result in contest.results)
    return (
        f'{{\n"verdict": {dumped(contest.verdict)},\n'
        f'"profiles": {dumped(_profiles(contest))},\n"results": [\n{races}\n]\n}}\n'
    )


def _profiles(contest: Contest) -> dict[str, Any]:
    return {
        rule: {"score": each.score, "ratios": each.ratios, "steps": each.steps}
        for rule, each in contest.profiles.items()
    }


def as_csv(contest: Contest) -> str:
    """Return a table with a line for each training, which begins with its problem."""
    return tabled(_lines(contest))


def _lines(contest: Contest) -> Iterator[Entry]:
    for result in contest.results:
        for entry in entries(result):
            yield {"problem": result.problem, **entry}
