"""`RayEngine`: workers and shards as processes of a Ray cluster, here or on many machines."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue
from thalweg.parallel.cluster.connection import connected
from thalweg.parallel.cluster.supervisor import Supervisor
from thalweg.parallel.engine import Engine, Job, Tally
from thalweg.parallel.flat import cut
from thalweg.parallel.server.snapshots import Snapshots, unused

_NO_FOLDER = (
    "snapshots=None; expected a folder that all nodes of the cluster share, because a shard that "
    "dies may begin anew on any of them."
)


@dataclass(frozen=True)
class RayEngine(Engine):
    """Trains in real processes: one for each worker, one for each shard.

    Without *address* they are processes of this machine, on a Ray that ends with the training;
    with it, of the cluster there. Both need Ray's token authentication. A worker or shard that does
    not answer for *timeout* seconds is given up, so that has to be longer than a gradient takes;
    processes have two minutes to begin, or *timeout* where that is longer. A worker that dies is
    begun anew, *restarts* times in all. Each worker needs *cpus* of a cluster.

    Shards take a snapshot after every *snapshot_every* updates, into a folder each in *snapshots*,
    which every node of a cluster must see; on one machine a temporary one is the default.
    """

    stoppable: ClassVar[bool] = True

    address: str | None = None
    timeout: float = 60.0
    restarts: int = 10
    snapshot_every: int = 100
    snapshots: str | PathLike[str] | None = None
    cpus: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("timeout", self.timeout, 1)
        check_number("cpus", self.cpus, 0)
        check_count("restarts", self.restarts, 0)
        check_count("snapshot_every", self.snapshot_every)
        check_count("seed", self.seed, 0)
        if self.address is not None and not isinstance(self.address, str):
            raise BadType(f"address={self.address!r}; expected a string such as '10.0.0.5:6379'.")
        if self.address is not None and self.snapshots is None:
            raise BadValue(_NO_FOLDER)

    def run(self, job: Job) -> tuple[Tensor, Tally]:
        """Train until no gradient is left, or no worker."""
        layout, serving = job.replica.layout, job.algorithm.serving(job.workers)
        parts = cut(layout, serving.rule, job.shards)
        if job.start.device.type != "cpu":
            raise BadValue(
                f"the model is on {job.start.device}; RayEngine keeps parameters in main memory. "
                "Move the model to the CPU."
            )
        with (
            self._folder(job.shards) as folder,
            connected(self.address, job.workers + job.shards, self.timeout) as ray,
        ):
            if self.snapshots is None and len(ray.nodes()) > 1:
                raise BadValue(_NO_FOLDER)
            return Supervisor(ray, self, job, parts, folder).run()

    @contextmanager
    def _folder(self, shards: int) -> Iterator[Path]:
        """Yield where shards put their snapshots; BadFile where there are some already."""
        if self.snapshots is not None:
            for folder in unused(self.snapshots, shards):
                Snapshots(folder)
            yield Path(self.snapshots).absolute()
            return
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            yield Path(name)
