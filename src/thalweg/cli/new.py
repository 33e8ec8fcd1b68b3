"""`thalweg new`: a problem file to start from."""

from pathlib import Path
from typing import Annotated

import typer

from thalweg import problems
from thalweg.cli.app import app, say


@app.command()
def new(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where it goes, such as my_problem.py.")
    ],
) -> None:
    """Write a commented problem file that runs as it is; an existing file is never replaced."""
    place = problems.write_template(path)
    say(f"Problem: {place}")
