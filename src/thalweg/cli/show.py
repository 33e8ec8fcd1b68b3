"""`thalweg rules` and `thalweg schedules`: what there is, and what each of it says."""

from typing import Annotated

import typer

from thalweg import report, rules, schedules
from thalweg.cli.app import app, screen


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
