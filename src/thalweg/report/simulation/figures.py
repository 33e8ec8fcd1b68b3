"""The pictures of a simulation: loss against delay for each number of workers, and the speed-up."""

from __future__ import annotations

from collections.abc import Iterable

from thalweg.parallel import Cell, Simulation
from thalweg.report.figure import Figure, colour, finite, fitted


def losses(simulation: Simulation, workers: int) -> Figure:
    """Draw the loss of every algorithm against the delay, with so many workers."""
    cells = [each for each in simulation.cells if each.workers == workers]
    drawn = [
        _trace(name, number, of, [f"{each.delay:g}" for each in of], [each.loss for each in of])
        for number, name in enumerate(simulation.rates)
        for of in [_of(cells, name)]
    ]
    seen = [value for each in drawn for value in each["y"] if value is not None]
    return {
        "data": drawn,
        "layout": {
            "xaxis": {"title": {"text": "delay of an answer, in gradients"}, "type": "category"},
            "yaxis": {"title": {"text": "loss at the end"}, **fitted(seen)},
        },
    }


def speed_up(simulation: Simulation) -> Figure:
    """Draw how many times sooner the same examples are seen than with the fewest workers.

    The delay is the smallest one that was simulated.
    """
    least = min(each.delay for each in simulation.cells)
    cells = [each for each in simulation.cells if each.delay == least]
    drawn = []
    for number, name in enumerate(simulation.rates):
        of = _of(cells, name)
        first = min(of, key=lambda each: each.workers)
        times = [first.time / each.time for each in of]
        drawn.append(_trace(name, number, of, [f"{each.workers:,}" for each in of], times))
    return {
        "data": drawn,
        "layout": {
            "xaxis": {"title": {"text": "workers"}, "type": "category"},
            "yaxis": {
                "title": {"text": "times sooner"},
                **fitted([value for each in drawn for value in each["y"]]),
            },
        },
    }


def _of(cells: Iterable[Cell], name: str) -> list[Cell]:
    return [each for each in cells if each.algorithm == name]


def _trace(
    name: str, number: int, cells: list[Cell], places: list[str], values: list[float]
) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": places,
        "y": finite(values),
        "line": {"color": colour(number), "width": 2.5},
        "marker": {"size": 8},
        "customdata": [[each.staleness, each.time] for each in cells],
        "hovertemplate": f"<b>{name}</b><br>%{{y:.4g}}<br>%{{customdata[0]:.3g}} updates late, "
        "ended at time %{customdata[1]:.4g}<extra></extra>",
    }
