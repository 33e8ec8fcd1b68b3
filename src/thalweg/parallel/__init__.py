"""Who talks to whom and when: training with many workers; nothing communicates inside a step."""

from thalweg.parallel.algorithms.algorithm import Algorithm, Gradient, Measured, Pull, Push, Seat
from thalweg.parallel.algorithms.catalogue import catalogue, find
from thalweg.parallel.algorithms.downpour import Downpour
from thalweg.parallel.algorithms.elastic import Elastic
from thalweg.parallel.algorithms.local import LocalUpdates, diloco
from thalweg.parallel.algorithms.synchronous import Synchronous
from thalweg.parallel.engine import Engine, Job, Progress, Tally
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
from thalweg.parallel.result import Point, Result
from thalweg.parallel.server.serving import Serving
from thalweg.parallel.server.shard import Shard
from thalweg.parallel.server.snapshots import Snapshots
from thalweg.parallel.server.versions import Outcome, Reading, Receipt, Version
from thalweg.parallel.simulate import Cell, best, simulate

__all__ = [
    "Algorithm", "Cell", "Distribution", "Downpour", "Elastic", "Engine", "Fault", "Gradient",
    "InProcess", "Job", "Layout", "LocalUpdates", "Measured", "Network", "Outcome", "Point",
    "Progress", "Pull", "Push", "Reading", "Receipt", "Result", "Seat", "Serving", "Shard",
    "Snapshots", "Synchronous", "Tally", "Version", "best", "catalogue", "constant", "diloco",
    "exponential", "failures", "find", "fit", "lognormal", "simulate", "uniform",
]  # fmt: skip
