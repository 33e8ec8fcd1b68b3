"""A result as one page that holds everything it needs and opens without a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.report.file import check_path, write

if TYPE_CHECKING:
    from thalweg.racing import Result
    from thalweg.training import Study


def page(result: Result | Study, path: str | os.PathLike[str]) -> Path:
    """Write a race or a study as an HTML page of about 5 MB to ``path``; return where it is.

    A file already there is replaced. Raises BadFile where the page cannot be written, with what was
    there untouched.
    """
    from thalweg.report.race_page import race_page
    from thalweg.report.study_page import study_page
    from thalweg.training import Study

    place = check_path(path)
    text = study_page(result) if isinstance(result, Study) else race_page(result)
    return write(place, text)
