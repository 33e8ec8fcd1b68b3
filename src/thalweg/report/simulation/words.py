"""What a simulation says, in sentences, and how its numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterator

from thalweg.parallel import Cell, Simulation, best
from thalweg.report import numerals

READING = (
    "Virtual time: a gradient takes 1, give or take a quarter; the delay is that of a question to "
    "the server and its answer together. Everything sees the same number of examples."
)


def question(simulation: Simulation) -> str:
    """Say what was simulated."""
    return (
        f"{numerals.count(len(simulation.rates), 'algorithm')} on {simulation.problem}, "
        f"{numerals.count(simulation.epochs, 'epoch')} in batches of {simulation.batch}."
    )


def sentences(simulation: Simulation) -> Iterator[str]:
    """Yield what the map shows: its easiest and its hardest place, and doubts about the rates."""
    found = best(simulation.cells)
    easiest, hardest = (found[pick(found)] for pick in (min, max))
    yield _place(easiest)
    if hardest is not easiest:
        yield _place(hardest)
    yield from _at_the_ends(simulation)


def _place(cell: Cell) -> str:
    where = f"With {numerals.count(cell.workers, 'worker')} and a delay of {cell.delay:g}"
    if math.isinf(cell.loss):
        return f"{where} everything diverged."
    late = f", its gradients {cell.staleness:.3g} updates late" if cell.staleness >= 0.05 else ""
    return f"{where}, {cell.algorithm} comes lowest, at {numerals.loss(cell.loss)}{late}."


def _at_the_ends(simulation: Simulation) -> Iterator[str]:
    if len(simulation.tried) < 2:
        return
    ends = {min(simulation.tried), max(simulation.tried)}
    doubted = [name for name, rate in simulation.rates.items() if rate in ends]
    if doubted:
        yield (
            f"The best rate lies at an end of those tried for {', '.join(doubted)}: a better one "
            "may lie beyond."
        )


def rates(simulation: Simulation) -> str:
    """Say where the learning rates are from."""
    given = ", ".join(f"{name} {numerals.rate(lr)}" for name, lr in simulation.rates.items())
    if len(simulation.tried) < 2:
        return f"Learning rates: {given}."
    tried = ", ".join(map(numerals.rate, simulation.tried))
    return f"Learning rates, the best of {tried} for one worker without delay: {given}."


def cell(found: Cell) -> str:
    """Write the loss of a cell, with the range of its seeds where there are several."""
    if len(found.losses) == 1 or math.isinf(found.loss):
        return numerals.loss(found.loss)
    low, high = (numerals.loss(each) for each in (min(found.losses), max(found.losses)))
    return f"{numerals.loss(found.loss)} ({low}–{high})"
