"""Where steps begin to grow: the largest stable rate of the rule on the loss's own curvature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from thalweg.doctor.rates.subject import Subject
from thalweg.errors import ThalwegError
from thalweg.landscape import Hessian, objective, stable_rate

WARMING, BATCHES, PRODUCTS = 10, 8, 20
"""Updates that fill the rule's state, the batches that curve, and products with the Hessian."""


@final
@dataclass(frozen=True)
class Edge:
    """The interval of the largest stable rate at the start; *reason* says why there is none."""

    low: float = math.inf
    high: float = math.inf
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether there is one."""
        return math.isfinite(self.high)


def edge(subject: Subject, rate: float) -> Edge:
    """Return the largest stable rate after some updates at *rate*, which should change nothing."""
    learner, batches = subject.learner(), subject.drawn(max(WARMING, BATCHES))
    try:
        for batch in batches[:WARMING]:
            learner.update(batch, rate)
        curve = objective(learner.model, learner.loss, batches[:BATCHES], training=True)
        found = stable_rate(Hessian(curve), learner.optimizer, products=PRODUCTS)
    except (ThalwegError, RuntimeError, NotImplementedError) as error:
        return Edge(reason=str(error).split(". ")[0].rstrip("."))
    if not math.isfinite(found.high):
        return Edge(reason="nothing curves upwards there")
    return Edge(found.low, found.high)
