"""A result, a race or a study: its table in the terminal, and its page that needs no network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType

from thalweg.report.file import check_path, write

if TYPE_CHECKING:
    from thalweg.racing import Result
    from thalweg.training import Study


def summary(result: Result | Study) -> RenderableType:
    """Return the claim of a race or a study, its table, and what the table does not say."""
    from thalweg.report.race.table import race_summary
    from thalweg.report.study.table import study_summary
    from thalweg.training import Study

    return study_summary(result) if isinstance(result, Study) else race_summary(result)


def page(result: Result | Study, path: str | os.PathLike[str]) -> Path:
    """Write a race or a study as an HTML page of about 5 MB to ``path``; return where it is.

    A file already there is replaced. Raises BadFile where the page cannot be written, with what was
    there untouched.
    """
    from thalweg.report.race.page import race_page
    from thalweg.report.study.page import study_page
    from thalweg.training import Study

    place = check_path(path)
    text = study_page(result) if isinstance(result, Study) else race_page(result)
    return write(place, text)
