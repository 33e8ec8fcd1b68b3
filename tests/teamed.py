"""Trainings with several workers that never were, with numbers one can work out by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

from thalweg.parallel import Outcome, Point, RunningLoss, Tally, Team, Teams

PROVENANCE = {"thalweg": "1.0", "torch": "2.9", "numpy": "2.0", "python": "3.11", "threads": 1}
SETTINGS = {"parallel": "<downpour>", "rule": "adagrad", "lr": 0.1, "hyper": None, "batch": 10,
            "epochs": 4, "seed": 0, "engine": "RayEngine", "address": None, "cores": 2}  # fmt: skip


def team(workers: int, seconds: float, losses: tuple[float, ...], **changes: Any) -> Team:
    """Return a team that began after a second, then saw 100 examples in as many seconds a look."""
    places = [(10 * k, 100 * k, 1.0 + seconds * k) for k in range(1, len(losses) + 1)]
    history = tuple(
        Point(gradients, examples, gradients, time, loss + 0.1, loss, 1 - loss)
        for (gradients, examples, time), loss in zip(places, losses, strict=True)
    )
    running = tuple(
        RunningLoss(*place, loss=2 * at) for place, at in zip(places, losses, strict=True)
    )
    gradients = 10 * len(losses)
    measured = Counter(dict.fromkeys(range(workers), gradients // workers))
    measured[0] += gradients % workers
    receipts = Counter({Outcome.APPLIED: gradients})
    tally = Tally(receipts, Counter({workers - 1: gradients}), measured)
    fields: dict[str, Any] = {
        "id": f"run{workers}", "workers": workers, "gradients": gradients, "unit": "seconds",
        "settings": SETTINGS, "status": "finished", "history": history, "losses": running,
        "began": 1.0, "tally": tally, "provenance": PROVENANCE,
    }  # fmt: skip
    return Team(**{**fields, **changes})


def eventful() -> Tally:
    """Return a tally in which something of everything happened."""
    receipts = {Outcome.APPLIED: 37, Outcome.STALE: 2, Outcome.NONFINITE: 1}
    return Tally(
        Counter(receipts), Counter({0: 7, 1: 20, 25: 10}), Counter({0: 25, 1: 14}),
        lost_gradients=1, restarts=1,
    )  # fmt: skip


FALLING = (0.8, 0.6, 0.4, 0.2)
TEAMS = Teams(
    "<digits>",
    "A problem of numbers & nothing else",
    (
        team(1, 10.0, FALLING),
        team(2, 5.0, (0.9, 0.7, 0.5, 0.3)),
        team(4, 12.5, FALLING, tally=eventful()),
    ),
)
"""Two workers are twice as fast as one, and four of them slower; 0.3 is what all came to."""
