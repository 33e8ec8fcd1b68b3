"""The command line: ``thalweg`` shows a card, each file here is a command or a family of them."""

import errno
import sys
from typing import Annotated

import typer

from thalweg import __version__, report, rules
from thalweg.cli import costs, doctor, lr, new, race, races, runs, show, simulate, train
from thalweg.cli.app import REFUSED, app, note, notices, screen
from thalweg.errors import ThalwegError

_ORDER = (
    "new",
    "train",
    "race",
    "show_races",
    "doctor",
    "lr",
    "simulate",
    "costs",
    "show_runs",
    "show_rules",
    "show_schedules",
)
"""The functions of the commands in the order in which a reader meets them."""

app.registered_commands.sort(key=lambda each: _ORDER.index(getattr(each.callback, "__name__", "")))

__all__ = [
    "app", "costs", "doctor", "lr", "main", "new", "race", "races", "runs", "show", "simulate",
    "train",
]  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 when done, 2 for a refused request, 130 when interrupted.

    ``arguments`` are those of the process unless given.
    """
    try:
        app(arguments, prog_name="thalweg")
    except ThalwegError as error:
        notices.print("[bold red]Error:[/] ", end="")
        note(str(error))
        raise SystemExit(REFUSED) from None
    except (OSError, UnicodeEncodeError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EIO):
            raise
        sys.stderr.write(
            f"Error: the output could not be written ({error}). Free the device it goes to, or set "
            "PYTHONIOENCODING=utf-8.\n"
        )
        raise SystemExit(REFUSED) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        screen.print(__version__, highlight=False)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Gradient-descent optimizers whose every form is derived from the equation in the paper."""
    if context.invoked_subcommand is None:
        screen.print(report.card(__version__, rules.catalogue.values()))
