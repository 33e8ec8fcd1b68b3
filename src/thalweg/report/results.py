"""Whatever was run: its table in the terminal, and its page or its data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

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


def summary(result: Reported) -> RenderableType:
    """Return the verdict of a race or a contest, the findings of the doctor, or another's claim.

    Below it stands a table, or what shows each finding.
    """
    from thalweg.doctor import Diagnosis, Examination, Watch
    from thalweg.parallel import Simulation, Teams
    from thalweg.racing import Contest
    from thalweg.report.contest.table import contest_summary
    from thalweg.report.doctor.table import doctor_summary
    from thalweg.report.race.table import race_summary
    from thalweg.report.simulation.table import simulation_summary
    from thalweg.report.study.table import study_summary
    from thalweg.report.teams.table import teams_summary
    from thalweg.training import Study

    if isinstance(result, Study):
        return study_summary(result)
    if isinstance(result, Simulation):
        return simulation_summary(result)
    if isinstance(result, Teams):
        return teams_summary(result)
    if isinstance(result, (Diagnosis, Examination, Watch)):
        return doctor_summary(result)
    return contest_summary(result) if isinstance(result, Contest) else race_summary(result)


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
    as_page, export = _forms(result)
    if ending not in (".json", ".csv"):
        return as_page(result)
    if export is None:
        raise BadValue(
            f"a training is written as a page, not as {ending}; its numbers are in the record: "
            "thalweg runs ID --csv FILE writes them to a table."
        )
    as_data: Callable[[Any], str] = export.as_json if ending == ".json" else export.as_csv
    return as_data(result)


def _check_measured(result: object) -> None:
    from thalweg.parallel import Teams

    if isinstance(result, Teams) and not any(team.history for team in result.teams):
        raise BadValue("nothing was measured by these workers, so that there is no page of it.")


def _forms(result: object) -> tuple[Callable[[Any], str], ModuleType | None]:
    """Return what writes the page of a result, and the module that writes its data."""
    from thalweg.doctor import Diagnosis, Examination, Watch
    from thalweg.parallel import Simulation, Teams
    from thalweg.racing import Contest, Result
    from thalweg.report.contest import export as contest
    from thalweg.report.contest.page import contest_page
    from thalweg.report.doctor import export as doctor
    from thalweg.report.doctor.page import doctor_page
    from thalweg.report.race import export as race
    from thalweg.report.race.page import race_page
    from thalweg.report.simulation import export as simulation
    from thalweg.report.simulation.page import simulation_page
    from thalweg.report.study.page import study_page
    from thalweg.report.teams import export as teams
    from thalweg.report.teams.page import teams_page
    from thalweg.training import Study

    forms = (
        (Study, study_page, None),
        (Simulation, simulation_page, simulation),
        (Teams, teams_page, teams),
        ((Diagnosis, Examination, Watch), doctor_page, doctor),
        (Contest, contest_page, contest),
        (Result, race_page, race),
    )
    for kinds, as_page, export in forms:
        if isinstance(result, kinds):
            return as_page, export
    raise BadType(
        "a page is made of what race(), train_problem(), a simulation or the doctor returned, "
        f"got a {type(result).__name__}."
    )
