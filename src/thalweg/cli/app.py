"""The application that commands join, the two screens it writes to, and its exit codes."""

from collections.abc import Callable

import typer
from rich.console import Console

INTERRUPTED = 130
REFUSED = 2

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
screen = Console()
notices = Console(stderr=True)


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
