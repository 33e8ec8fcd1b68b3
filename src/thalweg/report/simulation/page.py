"""A simulation on a page: what it shows, the map, and a picture for each number of workers."""

from __future__ import annotations

from html import escape

from thalweg.parallel import Simulation, best
from thalweg.report import numerals
from thalweg.report.frame import framed, points, section, table
from thalweg.report.simulation import words
from thalweg.report.simulation.figures import losses, speed_up


def simulation_page(simulation: Simulation) -> str:
    """Return the page of a simulation, as HTML."""
    counts = list(dict.fromkeys(each.workers for each in simulation.cells))
    pictures = {f"losses-{count}": losses(simulation, count) for count in counts}
    titles = {
        f"losses-{count}": (
            f"Loss against delay with {numerals.count(count, 'worker')}",
            "A line that stays level bears delay. Where one is missing, training diverged.",
        )
        for count in counts
    }
    if len(counts) > 1:
        pictures["speed"] = speed_up(simulation)
        titles["speed"] = (
            "What more workers save",
            "How many times sooner all examples are seen, in virtual time and at the smallest "
            "delay. What they are worth is another matter: see the losses.",
        )
    return framed("simulation/page", _texts(simulation, titles), pictures)


def _texts(simulation: Simulation, titles: dict[str, tuple[str, str]]) -> dict[str, str]:
    claim, *others = words.sentences(simulation)
    return {
        "title": escape(words.question(simulation)),
        "question": escape(words.question(simulation)),
        "claim": escape(claim),
        "others": points(others),
        "map": _map(simulation),
        "reading": escape(words.READING),
        "sections": "\n".join(section(name, *told) for name, told in titles.items()),
        "rates": escape(words.rates(simulation)),
    }


def _map(simulation: Simulation) -> str:
    rows = []
    for (workers, delay), lowest in best(simulation.cells).items():
        at = [each for each in simulation.cells if (each.workers, each.delay) == (workers, delay)]
        told = [(words.cell(each), each is lowest) for each in at]
        cells = [f"<b>{escape(text)}</b>" if bold else escape(text) for text, bold in told]
        rows.append([f"{workers:,}", f"{delay:g}", *cells])
    return table(["workers", "delay", *map(escape, simulation.rates)], rows)
