"""`thalweg doctor`: what is wrong with a training, why, and what to change."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg import problems, report, rules
from thalweg.cli.app import REFUSED, Epochs, Seed, app, note, notices, number_of, say, screen
from thalweg.errors import ThalwegError

if TYPE_CHECKING:
    from thalweg.doctor.examining import Examination

FINDINGS = 1
CODE = re.compile(r"gd\d+", re.IGNORECASE)


@app.command()
def doctor(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="PROBLEM|CODE",
            help="A problem such as mnist, a file: my_problem.py, or a code such as GD203.",
        ),
    ],
    rule: Annotated[
        str | None, typer.Option(metavar="KEY", help="The rule, such as adam. Default: adamw.")
    ] = None,
    lr: Annotated[
        Any, typer.Option(metavar="RATE", parser=number_of, help="Default: the rule's.")
    ] = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON, for programs.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write a page with curves, layers and the spectrum."
        ),
    ] = None,
) -> None:
    """Train a problem briefly under watch and print the findings, worst first, each with a plot.

    A code such as GD203 prints the page of that finding. Exit code 0: healthy; 1: findings; 2:
    refused, or the training failed. See docs/doctor.md.
    """
    if CODE.fullmatch(subject):
        _check_alone(
            subject, rule=rule, lr=lr, epochs=epochs, seed=seed or None, json=as_json or None,
            html=html,
        )  # fmt: skip
        _show_page(subject)
        return
    problems.find(subject)
    if rule:
        rules.find(rule)
    place = report.check_path(html) if html else None
    found = _examined(subject, {"rule": rule, "lr": lr, "epochs": epochs, "seed": seed})
    if as_json:
        say(_as_json(found))
    else:
        screen.print(report.summary(found))
    if place:
        note(f"Page: {report.page(found, place)}")
    raise typer.Exit(0 if found.diagnosis.healthy else FINDINGS)


def _check_alone(code: str, **options: Any) -> None:
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if given:
        raise typer.BadParameter(
            f"{code} prints the page of a finding and takes no {', '.join(given)}; give the code "
            "alone, or a problem."
        )


def _show_page(code: str) -> None:
    from thalweg.doctor import find_check

    say(find_check(code).page.rstrip())


def _examined(problem: str, settings: dict[str, Any]) -> Examination:
    with notices.status(f"Training {problem} under watch"):
        from thalweg.doctor import examine

        try:
            return examine(problem, **settings)
        except ThalwegError:
            raise
        except Exception as error:
            note(f"The training failed with {type(error).__name__}: {error}")
            raise typer.Exit(REFUSED) from error


def _as_json(found: Examination) -> str:
    from thalweg.doctor.plain import as_data

    return json.dumps({"problem": found.problem, **as_data(found.diagnosis)}, indent=2)
