"""The command line: ``thalweg`` shows a card, ``race`` runs a race, ``rules`` explains rules."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from thalweg import __version__, problems, report, rules, schedules
from thalweg.errors import ThalwegError

if TYPE_CHECKING:
    from thalweg.racing import Plan, Run
    from thalweg.rules import Rule

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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 when done, 2 for a refused request, 130 when interrupted.

    ``arguments`` are those of the process unless given.
    """
    try:
        app(arguments, prog_name="thalweg")
    except ThalwegError as error:
        notices.print("[bold red]Error:[/] ", end="")
        notices.print(str(error), markup=False, highlight=False, soft_wrap=True)
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


def _whole(low: int, high: int = 2**32 - 1) -> Callable[[str], int]:
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


@app.command()
def race(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="digits or mnist.")] = "digits",
    rules_: Annotated[
        str | None,
        typer.Option("--rules", metavar="KEYS", help="Such as adam,sgd. Default: all rules."),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(
            metavar="N", parser=_whole(1, 1000), help="Learning rates tried for each rule."
        ),
    ] = 4,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", parser=_whole(1), help="Default: the problem's own number."),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", parser=_whole(0), help="Fixes weights and order of data.")
    ] = 0,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the page goes; an old file is replaced.")
    ] = Path("race.html"),
) -> None:
    """Train every rule on a problem and show which reaches the lowest validation loss.

    Each rule may keep the best of a few learning rates. The result is a table here and a page
    with curves. Ctrl-C stops early and shows the runs that have finished.
    """
    chosen = _choose(rules_)
    problems.find(problem)
    place = report.check_path(out)
    plan = _prepare(problem, chosen, {"trials": trials, "seed": seed, "epochs": epochs})
    finished: list[Run] = []
    stopped = not _train(plan, finished)
    _show(plan, finished, place)
    raise typer.Exit(INTERRUPTED if stopped else 0)


def _choose(names: str | None) -> list[Rule] | None:
    if names is None:
        return None
    return [rules.find(name.strip()) for name in names.split(",")]


def _prepare(problem: str, chosen: list[Rule] | None, numbers: dict[str, Any]) -> Plan:
    try:
        with notices.status(f"Loading torch and {problem}"):
            from thalweg.racing import prepare

            return prepare(problem, chosen, **numbers)
    except KeyboardInterrupt:
        notices.print("Interrupted while loading: there is nothing to show.")
        raise typer.Exit(INTERRUPTED) from None


def _train(plan: Plan, finished: list[Run]) -> bool:
    """Run the race, appending each run to ``finished``; return False where Ctrl-C stopped it."""
    from thalweg.racing import execute

    try:
        with report.follow(notices) as (on_place, on_run):
            for run in execute(plan, on_place):
                finished.append(run)
                on_run(run)
    except KeyboardInterrupt:
        return False
    return True


def _show(plan: Plan, finished: list[Run], place: Path) -> None:
    from thalweg.racing import conclude

    if not finished:
        notices.print("Interrupted before the first run had finished: there is nothing to show.")
        return
    result = conclude(plan, finished)
    screen.print(report.summary(result))
    screen.print(f"Page: {report.page(result, place)}", highlight=False, soft_wrap=True)


@app.command("schedules")
def show_schedules() -> None:
    """List the schedules: how each is called, what it does, and its paper."""
    screen.print(report.schedule_listing(schedules.catalogue.values()))


@app.command("rules")
def show_rules(
    rule: Annotated[
        str | None, typer.Argument(metavar="KEY", help="A rule's key, such as adam.")
    ] = None,
    family: Annotated[
        bool, typer.Option("--family", help="Draw how the rules descend from one another.")
    ] = False,
) -> None:
    """List the update rules, or show one: its source, formula, hyperparameters and kernel."""
    if family and rule is not None:
        raise typer.BadParameter("the family is drawn of all rules; leave out KEY.")
    if family:
        screen.print(report.family_tree(rules.catalogue.values()))
    elif rule is None:
        screen.print(report.listing(rules.catalogue.values()))
    else:
        screen.print(report.sheet(rules.find(rule)))
