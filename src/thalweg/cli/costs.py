"""`thalweg costs`: what do full-batch, stochastic and mini-batch gradient descent cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from thalweg import problems, report, rules
from thalweg.cli.app import app, notices, screen, whole

if TYPE_CHECKING:
    from thalweg.rules import Rule
    from thalweg.training import Cost

    Size = int | Literal["all"]


@app.command()
def costs(
    problem: Annotated[
        str,
        typer.Argument(metavar="PROBLEM", help="A name such as mnist, or a file: my_problem.py."),
    ] = "digits",
    batch: Annotated[
        str, typer.Option(metavar="SIZES", help="Numbers of examples, or all.")
    ] = "all,1,32",
    rule: Annotated[
        str, typer.Option(metavar="KEY", help="The rule whose updates are timed.")
    ] = "sgd",
    updates: Annotated[
        int, typer.Option(metavar="N", parser=whole(1), help="Updates timed for each size.")
    ] = 10,
) -> None:
    """Measure what batch sizes cost on a problem: gradients, time per update, and memory."""
    sizes = [_size(text.strip()) for text in batch.split(",")]
    chosen = rules.find(rule)
    problems.find(problem)
    with notices.status(f"Loading torch and {problem}"):
        found = _measured(problem, chosen, sizes, updates)
    screen.print(report.costs(found))


def _size(text: str) -> Size:
    if text == "all":
        return "all"
    size: int = whole(1)(text)
    return size


def _measured(name: str, rule: Rule, sizes: list[Size], updates: int) -> tuple[Cost, ...]:
    from thalweg.optim import Optimizer
    from thalweg.training import costs as measure
    from thalweg.training.threads import threads

    problem = problems.load(name)
    model = problem.make_model(0)
    optimizer = Optimizer(model.parameters(), rule)
    with threads(problem.threads):
        return measure(model, optimizer, problem.loss, problem.train, sizes, updates=updates)
