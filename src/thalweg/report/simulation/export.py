"""A simulation as data for other programs: everything as JSON, or a line for each cell as CSV."""

from __future__ import annotations

from dataclasses import asdict

from thalweg.parallel import Simulation
from thalweg.report.data import as_object, tabled


def as_json(simulation: Simulation) -> str:
    """Return everything as JSON, each cell on a line of its own; infinity is ``inf``."""
    fields = {name: value for name, value in vars(simulation).items() if name != "cells"}
    cells = [asdict(each) | {"loss": each.loss} for each in simulation.cells]
    return as_object(fields | {"cells": cells})


def as_csv(simulation: Simulation) -> str:
    """Return a table with a line for each cell, its loss the median over the seeds."""
    return tabled(
        {
            "algorithm": each.algorithm,
            "lr": simulation.rates[each.algorithm],
            "workers": each.workers,
            "delay": each.delay,
            "loss": each.loss,
            "time": each.time,
            "staleness": each.staleness,
        }
        for each in simulation.cells
    )
