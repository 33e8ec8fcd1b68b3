"""`thalweg race`: which rule reaches the lowest loss on a problem?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg import problems, report, rules
from thalweg.cli.app import INTERRUPTED, Epochs, ProblemName, app, note, notices, say, screen, whole

if TYPE_CHECKING:
    from thalweg.racing import Plan, Run
    from thalweg.rules import Rule


@app.command()
def race(
    problem: ProblemName = "digits",
    rules_: Annotated[
        str | None,
        typer.Option("--rules", metavar="KEYS", help="The rules, such as adam,sgd. Default: all."),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(
            metavar="N", parser=whole(1, 1000), help="Learning rates tried for each rule."
        ),
    ] = 4,
    epochs: Epochs = None,
    seed: Annotated[
        int, typer.Option(metavar="N", parser=whole(0), help="Fixes weights and order of data.")
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
        note("Interrupted while loading: there is nothing to show.")
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
        note("Interrupted before the first run had finished: there is nothing to show.")
        return
    result = conclude(plan, finished)
    screen.print(report.summary(result))
    say(f"Page: {report.page(result, place)}")
