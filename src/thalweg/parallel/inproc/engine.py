"""`InProcess`: workers and shards simulated in this process, event by event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue
from thalweg.parallel.engine import Engine, Job, Tally
from thalweg.parallel.flat import cut
from thalweg.parallel.inproc.conditions import Fault, Network
from thalweg.parallel.inproc.distributions import Distribution, as_distribution
from thalweg.parallel.inproc.hosts import Host
from thalweg.parallel.inproc.simulation import Simulation
from thalweg.parallel.server.shard import Shard
from thalweg.parallel.server.snapshots import Snapshots, unused


@dataclass(frozen=True)
class InProcess(Engine):
    """Simulates any number of workers, the same every time, on one core.

    Gradients and updates are computed; time is not waited for. A gradient takes *compute* virtual
    seconds, messages travel as *network* says, and *faults* happen. A dead worker is noticed after
    *detection*. Shards take a snapshot after every *snapshot_every* updates, besides the one they
    begin with, into memory or into a folder each in *snapshots*.
    """

    unit: ClassVar[str] = "virtual seconds"
    stoppable: ClassVar[bool] = True

    compute: float | Distribution = 1.0
    network: Network = field(default_factory=Network)
    faults: Sequence[Fault] = ()
    detection: float = 2.0
    snapshot_every: int | None = None
    snapshots: str | PathLike[str] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("detection", self.detection, 0)
        check_count("seed", self.seed, 0)
        if self.snapshot_every is not None:
            check_count("snapshot_every", self.snapshot_every)
        if not isinstance(self.network, Network):
            raise BadType(f"network={self.network!r}; expected a Network.")
        if not _are_faults(self.faults):
            raise BadType(f"faults={self.faults!r}; expected a list of Fault.")
        if not as_distribution(self.compute).mean:
            raise BadValue(
                "compute=0; expected a positive number of virtual seconds for a gradient, without "
                "which the first worker would be done before the second begins."
            )

    def run(self, job: Job) -> tuple[Tensor, Tally]:
        """Train until no gradient is left, or no worker."""
        self._check_targets(job)
        hosts = list(self._hosts(job))
        compute = as_distribution(self.compute)
        simulation = Simulation(job, hosts, self.network, compute, self.detection, self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return simulation.run(list(self.faults))

    def _check_targets(self, job: Job) -> None:
        for fault in self.faults:
            limit = job.shards if fault.kind == "kill shard" else job.workers
            if fault.target >= limit:
                raise BadValue(f"{fault} names number {fault.target}; expected 0 to {limit - 1}.")

    def _hosts(self, job: Job) -> Iterator[Host]:
        layout, serving = job.replica.layout, job.algorithm.serving(job.workers)
        parts = cut(layout, serving.rule, job.shards)
        folders: Sequence[Path | None] = [None] * job.shards
        if self.snapshots is not None:
            folders = unused(self.snapshots, job.shards)
        for folder, part in zip(folders, parts, strict=True):

            def make(part: range = part) -> Shard:
                return Shard(layout, part, job.start, serving)

            yield Host(make, Snapshots(folder), self.snapshot_every)


def _are_faults(given: object) -> bool:
    return isinstance(given, Sequence) and all(isinstance(each, Fault) for each in given)
