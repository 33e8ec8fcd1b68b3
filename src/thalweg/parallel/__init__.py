"""Who talks to whom and when: training with many workers; nothing communicates inside a step."""

import importlib
from typing import TYPE_CHECKING, Any

from thalweg.parallel.algorithms.algorithm import Algorithm, Gradient, Measured, Pull, Push, Seat
from thalweg.parallel.algorithms.catalogue import catalogue, find
from thalweg.parallel.algorithms.downpour import Downpour
from thalweg.parallel.algorithms.elastic import Elastic
from thalweg.parallel.algorithms.local import LocalUpdates, diloco
from thalweg.parallel.algorithms.synchronous import Synchronous
from thalweg.parallel.compression import BFloat16, Compression, TopK
from thalweg.parallel.engine import Engine, Job, Moment, Progress, Tally
from thalweg.parallel.fitting import fit
from thalweg.parallel.flat import Layout
from thalweg.parallel.inproc.conditions import Fault, Network, failures
from thalweg.parallel.inproc.distributions import (
    Distribution,
    constant,
    exponential,
    lognormal,
    uniform,
)
from thalweg.parallel.inproc.engine import InProcess
from thalweg.parallel.result import Interrupted, Point, Result, RunningLoss
from thalweg.parallel.server.serving import Serving
from thalweg.parallel.server.shard import Shard
from thalweg.parallel.server.snapshots import Snapshots
from thalweg.parallel.server.versions import Outcome, Reading, Receipt, Version
from thalweg.parallel.simulate import Cell, Simulation, best, simulate, tuned
from thalweg.parallel.teams.team import Team, Teams
from thalweg.parallel.teams.training import looks, train_problem
from thalweg.parallel.watching import Listener

if TYPE_CHECKING:
    from thalweg.parallel.cluster.engine import RayEngine as RayEngine
    from thalweg.parallel.group.engine import TorchEngine as TorchEngine
    from thalweg.parallel.group.pipeline import Pipeline as Pipeline
    from thalweg.parallel.hogwild.estimators import HogwildClassifier as HogwildClassifier
    from thalweg.parallel.hogwild.estimators import HogwildRegressor as HogwildRegressor
    from thalweg.parallel.hogwild.factorization import HogwildFactorization as HogwildFactorization
    from thalweg.parallel.hogwild.processes import hogwild_fit as hogwild_fit
    from thalweg.parallel.hogwild.workers import WorkerLost as WorkerLost

_HOMES = {
    "HogwildClassifier": "thalweg.parallel.hogwild.estimators",
    "HogwildRegressor": "thalweg.parallel.hogwild.estimators",
    "HogwildFactorization": "thalweg.parallel.hogwild.factorization",
    "Pipeline": "thalweg.parallel.group.pipeline",
    "RayEngine": "thalweg.parallel.cluster.engine",
    "TorchEngine": "thalweg.parallel.group.engine",
    "WorkerLost": "thalweg.parallel.hogwild.workers",
    "hogwild_fit": "thalweg.parallel.hogwild.processes",
}

__all__ = [
    *_HOMES,
    "Algorithm", "BFloat16", "Cell", "Compression", "Distribution", "Downpour", "Elastic", "Engine",
    "Fault", "Gradient", "InProcess", "Interrupted", "Job", "Layout", "Listener", "LocalUpdates",
    "Measured", "Moment", "Network", "Outcome", "Point", "Progress", "Pull", "Push", "Reading",
    "Receipt", "Result", "RunningLoss", "Seat", "Serving", "Shard", "Simulation", "Snapshots",
    "Synchronous", "Tally", "Team", "Teams", "TopK", "Version", "best", "catalogue", "constant",
    "diloco", "exponential", "failures", "find", "fit", "lognormal", "looks", "simulate",
    "train_problem", "tuned", "uniform",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: scikit-learn for the estimators alone."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'thalweg.parallel' has no attribute {name!r}")
