"""Whatever was run: its table in the terminal, and its page or its data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import RenderableType

from thalweg.errors import BadType, BadValue
from thalweg.report.file import check_page, write

if TYPE_CHECKING:
    from thalweg.doctor import Diagnosis, Examination, Watch
    from thalweg.parallel import Simulation, Teams
    from thalweg.racing import Contest, Result
    from thalweg.training import Study

    Examined = Diagnosis | Examination | Watch
    Reported = Result | Contest | Study | Simulation | Teams | Examined


class Form(NamedTuple):
    """How results of some *kinds* are shown: in the terminal, as a page, and as data if at all."""

    kinds: tuple[type, ...]
    summary: Callable[[Any], RenderableType]
    page: Callable[[Any], str]
    data: ModuleType | None


def summary(result: Reported) -> RenderableType:
    """Return the verdict of a race or a contest, the findings of the doctor, or another's claim.

    Below it stands a table, or what shows each finding.
    """
    return _form(result).summary(result)


def page(result: Reported, path: str | os.PathLike[str]) -> Path:
    """Write a result to ``path``, in the form its ending asks for; return that.

    ``.json`` holds all of a race, a contest, a simulation, teams of workers or a diagnosis as data,
    ``.csv`` a line for each training, condition, look or finding; anything else is an HTML page of
    about 5 MB. A file already there is replaced. Raises BadFile where it cannot be written, with
    what was there untouched, BadValue for data of a study, which its record has, and for teams that
    measured nothing, and BadType for no result.
    """
    place = check_page(path)
    return write(place, _written(result, place.suffix.lower()))


def _written(result: object, ending: str) -> str:
    """Return the contents of a file with such an ending."""
    _check_measured(result)
    form = _form(result)
    if ending not in (".json", ".csv"):
        return form.page(result)
    if form.data is None:
        raise BadValue(
            f"a training is written as a page, not as {ending}; its numbers are in the record: "
            "thalweg runs ID --csv FILE writes them to a table."
        )
    as_data: Callable[[Any], str] = form.data.as_json if ending == ".json" else form.data.as_csv
    return as_data(result)


def _check_measured(result: object) -> None:
    from thalweg.parallel import Teams

    if isinstance(result, Teams) and not any(team.history for team in result.teams):
        raise BadValue("nothing was measured by these workers, so that there is no page of it.")


def _form(result: object) -> Form:
    """Return how a result is shown."""
    for form in _forms():
        if isinstance(result, form.kinds):
            return form
    raise BadType(
        "what is shown is what race(), train_problem(), a simulation or the doctor returned, "
        f"got a {type(result).__name__}."
    )


def _forms() -> tuple[Form, ...]:
    from thalweg.doctor import Diagnosis, Examination, Watch
    from thalweg.parallel import Simulation, Teams
    from thalweg.racing import Contest, Result
    from thalweg.report.contest import export as contest
    from thalweg.report.contest.page import contest_page
    from thalweg.report.contest.table import contest_summary
    from thalweg.report.doctor import export as doctor
    from thalweg.report.doctor.page import doctor_page
    from thalweg.report.doctor.table import doctor_summary
    from thalweg.report.race import export as race
    from thalweg.report.race.page import race_page
    from thalweg.report.race.table import race_summary
    from thalweg.report.simulation import export as simulation
    from thalweg.report.simulation.page import simulation_page
    from thalweg.report.simulation.table import simulation_summary
    from thalweg.report.study.page import study_page
    from thalweg.report.study.table import study_summary
    from thalweg.report.teams import export as teams
    from thalweg.report.teams.page import teams_page
    from thalweg.report.teams.table import teams_summary
    from thalweg.training import Study

    return (
        Form((Study,), study_summary, study_page, None),
        Form((Simulation,), simulation_summary, simulation_page, simulation),
        Form((Teams,), teams_summary, teams_page, teams),
        Form((Diagnosis, Examination, Watch), doctor_summary, doctor_page, doctor),
        Form((Contest,), contest_summary, contest_page, contest),
        Form((Result,), race_summary, race_page, race),
    )
