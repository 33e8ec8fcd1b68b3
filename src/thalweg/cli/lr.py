"""`thalweg lr`: which learning rate suits a rule on a problem, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg import problems, rules
from thalweg.cli.app import REFUSED, ProblemName, Seed, app, batch_size, note, notices, say, whole
from thalweg.errors import NoRate, ThalwegError

if TYPE_CHECKING:
    from thalweg.doctor.rates.advice import Advice

NOTHING = 1


@app.command("lr")
def lr(
    problem: ProblemName,
    rule: Annotated[
        str, typer.Option(metavar="KEY", help="The rule, such as adam. Default: adamw.")
    ] = "adamw",
    batch: Annotated[
        Any,
        typer.Option(metavar="N|all", parser=batch_size, help="Examples. Default: the problem's."),
    ] = None,
    updates: Annotated[
        int, typer.Option(metavar="N", parser=whole(20), help="Updates of a short run.")
    ] = 400,
    seed: Seed = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer as JSON, for programs.")
    ] = False,
) -> None:
    """Suggest a learning rate by a range test, the curvature and short runs, and say why.

    Exit code 0: there is one; 1: no learning rate lowers the loss; 2: refused, or a run failed.
    """
    problems.find(problem)
    rules.find(rule)
    found = _advised(problem, {"rule": rule, "batch": batch, "updates": updates, "seed": seed})
    say(json.dumps(found.as_data(), indent=2) if as_json else found.report())


def _advised(problem: str, settings: dict[str, Any]) -> Advice:
    with notices.status(f"Training {problem} briefly at several learning rates"):
        from thalweg.doctor import suggest_lr

        try:
            return suggest_lr(problem, **settings)
        except NoRate as answer:
            note(str(answer))
            raise typer.Exit(NOTHING) from answer
        except ThalwegError:
            raise
        except Exception as error:
            note(f"A run failed with {type(error).__name__}: {error}")
            raise typer.Exit(REFUSED) from error
