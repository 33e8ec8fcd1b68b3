"""`thalweg rules` and `thalweg schedules`: what there is, and what each of it says."""

from pathlib import Path
from typing import Annotated

import typer

from thalweg import report, rules, schedules
from thalweg.cli.app import app, say, screen


@app.command("schedules")
def show_schedules(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A schedule's name, such as cosine.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Also write a page with a figure.")
    ] = None,
) -> None:
    """List the schedules, or show one: its call, formula, endpoints and a drawing."""
    if name is None:
        if figure is not None:
            raise typer.BadParameter("name the schedule that --plot draws.")
        screen.print(report.schedule_listing(schedules.catalogue.values()))
        return
    kind = schedules.find(name)
    screen.print(report.schedule_sheet(kind))
    if figure is not None:
        place = report.plot({kind.call: kind(**kind.example)}, figure)
        say(f"Page: {place}")


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
