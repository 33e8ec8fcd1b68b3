"""Whatever was run: its table in the terminal, and its page or its data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

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
    from thalweg.doctor import Diagnosis, Examination, Watch
    from thalweg.parallel import Simulation, Teams
    from thalweg.racing import Contest, Result
    from thalweg.training import Study

    place = check_page(path)
    ending = place.suffix.lower()
    if isinstance(result, Study):
        return write(place, _study(result, ending))
    if isinstance(result, Simulation):
        return write(place, _simulation(result, ending))
    if isinstance(result, Teams):
        return write(place, _teams(result, ending))
    if isinstance(result, (Diagnosis, Examination, Watch)):
        return write(place, _examined(result, ending))
    if isinstance(result, Contest):
        return write(place, _contest(result, ending))
    if not isinstance(result, Result):
        raise BadType(
            "a page is made of what race(), train_problem(), a simulation or the doctor returned, "
            f"got a {type(result).__name__}."
        )
    return write(place, _race(result, ending))


def _study(study: Study, ending: str) -> str:
    from thalweg.report.study.page import study_page

    if ending in (".json", ".csv"):
        raise BadValue(
            f"a training is written as a page, not as {ending}; its numbers are in the record: "
            "thalweg runs ID --csv FILE writes them to a table."
        )
    return study_page(study)


def _contest(contest: Contest, ending: str) -> str:
    from thalweg.report.contest.export import as_csv, as_json
    from thalweg.report.contest.page import contest_page

    forms = {".json": as_json, ".csv": as_csv}
    return forms.get(ending, contest_page)(contest)


def _race(result: Result, ending: str) -> str:
    from thalweg.report.race.export import as_csv, as_json
    from thalweg.report.race.page import race_page

    forms = {".json": as_json, ".csv": as_csv}
    return forms.get(ending, race_page)(result)


def _simulation(simulation: Simulation, ending: str) -> str:
    from thalweg.report.simulation.export import as_csv, as_json
    from thalweg.report.simulation.page import simulation_page

    forms = {".json": as_json, ".csv": as_csv}
    return forms.get(ending, simulation_page)(simulation)


def _teams(teams: Teams, ending: str) -> str:
    from thalweg.report.teams.export import as_csv, as_json
    from thalweg.report.teams.page import teams_page

    if not any(team.history for team in teams.teams):
        raise BadValue("nothing was measured by these workers, so that there is no page of it.")
    forms = {".json": as_json, ".csv": as_csv}
    return forms.get(ending, teams_page)(teams)


def _examined(found: Examined, ending: str) -> str:
    from thalweg.report.doctor.export import as_csv, as_json
    from thalweg.report.doctor.page import doctor_page

    forms = {".json": as_json, ".csv": as_csv}
    return forms.get(ending, doctor_page)(found)
