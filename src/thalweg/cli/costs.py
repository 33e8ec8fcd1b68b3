"""`thalweg costs`: what do full-batch, stochastic and mini-batch gradient descent cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from thalweg import problems, report, rules
from thalweg.cli.app import ProblemName, app, batch_size, notices, screen, whole

if TYPE_CHECKING:
    from thalweg.rules import Rule
    from thalweg.training import Cost


@app.command()
def costs(
    problem: ProblemName = "digits",
    batch: Annotated[
        str, typer.Option(metavar="SIZES", help="Examples in a batch: numbers, or all.")
    ] = "all,1,32",
    rule: Annotated[
        str, typer.Option(metavar="KEY", help="The rule whose updates are timed.")
    ] = "sgd",
    updates: Annotated[
        int, typer.Option(metavar="N", parser=whole(1), help="Updates timed for each size.")
    ] = 10,
) -> None:
    """Measure what batch sizes cost on a problem: gradients, time per update, and memory."""
    sizes = [batch_size(text.strip()) for text in batch.split(",")]
    chosen = rules.find(rule)
    problems.find(problem)
    with notices.status(f"Loading torch and {problem}"):
        found = _measured(problem, chosen, sizes, updates)
    screen.print(report.costs(found))


def _measured(
    name: str, rule: Rule, sizes: list[int | Literal["all"]], updates: int
) -> tuple[Cost, ...]:
    from thalweg.optim import Optimizer
    from thalweg.training import costs as measure
    from thalweg.training.threads import threads

    problem = problems.load(name)
    model = problem.make_model(0)
    optimizer = Optimizer(model.parameters(), rule)
    with threads(problem.threads):
        return measure(model, optimizer, problem.loss, problem.train, sizes, updates=updates)
