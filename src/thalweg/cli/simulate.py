"""`thalweg simulate`: which parallel algorithm bears how many workers and how much delay?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg import problems, report
from thalweg.cli.app import (
    Batch,
    Epochs,
    ProblemName,
    app,
    note,
    notices,
    number_of,
    say,
    screen,
    whole,
)
from thalweg.cli.stopping import exit_code, leaving_at_once, stoppable

if TYPE_CHECKING:
    from thalweg.parallel import Algorithm, Cell, Simulation
    from thalweg.problems import Problem

PAGE = Path("simulation.html")
LARGEST = 1000


def _list(parse: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """Return a parser of several, divided by commas, each taken once."""

    def parse_all(text: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(parse(part.strip()) for part in text.split(",")))

    return parse_all


def _delay(text: str) -> float:
    number = number_of(text)
    if number < 0:
        raise typer.BadParameter(f"{text!r} is below 0.")
    return number


def _rate(text: str) -> float:
    number = number_of(text)
    if number <= 0:
        raise typer.BadParameter(f"{text!r} is no learning rate above 0.")
    return number


@app.command()
def simulate(
    problem: ProblemName = "digits",
    algorithms: Annotated[
        Any, typer.Option(metavar="NAMES", parser=_list(str), help="Such as downpour,easgd.")
    ] = "synchronous,downpour,adaptive_revision,easgd,local_sgd",
    workers: Annotated[
        Any, typer.Option(metavar="N,…", parser=_list(whole(1, LARGEST)), help="How many workers.")
    ] = "1,10,100",
    delays: Annotated[
        Any,
        typer.Option(metavar="D,…", parser=_list(_delay), help="Of an answer; a gradient takes 1."),
    ] = "0,1,10",
    lr: Annotated[
        Any,
        typer.Option(
            metavar="RATE,…",
            parser=_list(_rate),
            help="The rates tuned over with one worker; a single one is taken as it is.",
        ),
    ] = "0.001,0.003,0.01,0.03,0.1,0.3,1",
    batch: Batch = None,
    epochs: Epochs = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", parser=whole(1, 1000), help="Trainings in each cell.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The page; .json and .csv hold data. Default: simulation.html.",
        ),
    ] = None,
) -> None:
    """Draw the map of losses against delay and number of workers, before any is rented.

    Gradients and updates are real, time is virtual, in this one process. Each algorithm keeps the
    learning rate that is best for one worker without delay. See docs/parallel.md.
    """
    problems.find(problem)
    place = report.check_page(out or PAGE)
    with stoppable():
        try:
            found = _simulated(
                problem, algorithms, (workers, delays, lr), (epochs, batch), seeds
            )  # fmt: skip
        except KeyboardInterrupt as stop:
            note("Interrupted; a simulation is not recorded, and nothing was written.")
            raise typer.Exit(exit_code(stop)) from None
    screen.print(report.summary(found))
    say(f"Page: {report.page(found, place)}")


def _simulated(
    name: str, chosen: Sequence[str], conditions: tuple[Any, Any, Any], budget: tuple[Any, Any],
    seeds: int,
) -> Simulation:  # fmt: skip
    with leaving_at_once(notices), notices.status(f"Loading torch and {name}"):
        from thalweg import parallel

        known = {each: parallel.find(each) for each in chosen}
        problem = problems.load(name)
    workers, delays, rates = conditions
    epochs, batch = budget[0] or problem.epochs, budget[1] or problem.batch_size
    at = _tuned(problem, known, rates, (epochs, batch))
    cells: list[Cell] = []
    with notices.status("") as status:
        runs = len(at) * len(workers) * len(delays)
        status.update(f"Simulated 0 of {runs} conditions")
        for cell in parallel.simulate(
            problem, at, workers, delays, epochs=epochs, batch=batch, seeds=seeds
        ):
            cells.append(cell)
            status.update(f"Simulated {len(cells)} of {runs} conditions, last {cell.algorithm}")
    used: dict[str, Any] = {each: vars(algorithm)["lr"] for each, algorithm in at.items()}
    return parallel.Simulation(name, epochs, batch, used, tuple(rates), tuple(cells))


def _tuned(
    problem: Problem, known: dict[str, Algorithm], rates: Sequence[float], budget: tuple[int, Any]
) -> dict[str, Algorithm]:
    """Return each algorithm at its best rate for one worker."""
    from thalweg.parallel import tuned

    with notices.status("Tuning rates with one worker"):
        return dict(tuned(problem, known, rates, epochs=budget[0], batch=budget[1]))
