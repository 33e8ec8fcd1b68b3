"""The application that commands join: its two screens, exit codes, and what arguments mean."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from thalweg.errors import nearest

DIVERGED = 1
REFUSED = 2

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
screen = Console()
notices = Console(stderr=True)


def say(text: str) -> None:
    """Write a result to the screen as it is, unbroken, so that paths can be copied."""
    screen.print(text, highlight=False, soft_wrap=True, markup=False)


def note(text: str) -> None:
    """Write a sentence that is no result to the other screen."""
    notices.print(text, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings as sentences, without the line of code they come from."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        note(f"Warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def whole(low: int, high: int = 2**32 - 1) -> Callable[[str], int]:
    """Return a parser of whole numbers from ``low`` to ``high``."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise typer.BadParameter(f"{text!r} is not a whole number from {low} to {high:,}.")
        return number

    return parse


def number_of(text: str) -> float:
    """Return a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise typer.BadParameter(f"{text!r} is not a finite number.")
    return number


def one_of(what: str, names: Sequence[str]) -> Callable[[str], str]:
    """Return a parser of a name that says which ones there are."""

    def parse(text: str) -> str:
        if text not in names:
            raise typer.BadParameter(
                f"there is no {what} {text!r}.{nearest(text, names)} There are: {', '.join(names)}."
            )
        return text

    return parse


def batch_size(text: str) -> int | Literal["all"]:
    """Return a number of examples, or ``"all"``."""
    if text == "all":
        return "all"
    number: int = whole(1)(text)
    return number


ProblemName = Annotated[
    str, typer.Argument(metavar="PROBLEM", help="A name such as mnist, or a file: my_problem.py.")
]
Epochs = Annotated[
    int | None,
    typer.Option(
        metavar="N", parser=whole(1), help="Passes over the training set. Default: the problem's."
    ),
]
Batch = Annotated[
    Any,
    typer.Option(
        metavar="N|all", parser=batch_size, help="Examples in a batch. Default: the problem's."
    ),
]
Seed = Annotated[
    int, typer.Option(metavar="N", parser=whole(0), help="Fixes weights and order of data.")
]
RecordPlace = Annotated[
    Path | None,
    typer.Option(
        "--record", metavar="FILE", help="The record. Default: $THALWEG_RECORD, else thalweg.db."
    ),
]
