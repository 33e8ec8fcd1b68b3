"""Work is done piece by piece by the nodes of a Ray cluster: the same numbers as in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, final

import torch

from thalweg.errors import BadValue, WorkerDied
from thalweg.parallel.cluster.connection import connected
from thalweg.parallel.cluster.wire import Parcel, opened, sealed
from thalweg.racing.plan import Plan, versions
from thalweg.racing.result import Run
from thalweg.racing.work import Work, perform, warm_up

LOCAL = "local"
"""The address that stands for a cluster on this machine, which ends with the race."""

ANSWER = 60.0
"""Seconds for which a cluster is given time to answer."""

AGAIN = 5
"""How many times a piece of work is begun anew where a node or process dies under it."""

LOOK = 0.5
"""Seconds between two looks at what is done."""


@contextmanager
def nodes(plan: Plan, address: str) -> Iterator[Nodes]:
    """Yield the nodes of the Ray cluster at *address*, or of one here for ``"local"``.

    They must have the versions and are given the threads of this process, so that their numbers are
    the same. Raises MissingPackage without Ray, BadValue for a cluster without a token, one that
    cannot be reached, and a plan that cannot be sent.
    """
    parcel = _sent(plan)
    with connected(None if address == LOCAL else address, _cores(), ANSWER) as ray:
        yield Nodes(ray, plan, parcel)


def _cores() -> int:
    return torch.multiprocessing.cpu_count()


def _sent(plan: Plan) -> Parcel:
    try:
        return sealed(plan)
    except Exception as error:
        raise BadValue(
            f"{plan.problem.name!r} cannot be sent to a cluster ({type(error).__name__}: {error}). "
            "Define model, loss and data so that they can be pickled."
        ) from error


@final
class Nodes:
    """Does work on a cluster; what was under way on a node that dies is done again elsewhere."""

    def __init__(self, ray: Any, plan: Plan, parcel: Parcel) -> None:
        self.ray = ray
        self.given = ray.put((parcel, plan.header.threads, torch.get_default_dtype()))
        self.task = ray.remote(num_cpus=1, max_retries=AGAIN)(_do)

    def do(
        self, pieces: Sequence[Work], tell: Callable[[Work, int], None]
    ) -> Iterator[tuple[Work, list[Run]]]:
        """Do all pieces, and yield each with its runs as soon as it is done."""
        waiting = {self.task.remote([self.given], work): work for work in pieces}
        try:
            while waiting:
                done, _ = self.ray.wait(list(waiting), timeout=LOOK)
                for each in done:
                    yield waiting.pop(each), self._runs(each)
        finally:
            for each in waiting:
                self.ray.cancel(each, force=True)

    def _runs(self, task: Any) -> list[Run]:
        try:
            runs: list[Run] = self.ray.get(task)
        except (
            self.ray.exceptions.WorkerCrashedError,
            self.ray.exceptions.ObjectLostError,
        ) as lost:
            raise WorkerDied(
                f"a piece of the race was lost {AGAIN + 1} times with the process or node that did "
                "it, perhaps for want of memory. What was recorded is kept, and the race can go on "
                "from it."
            ) from lost
        return runs


# What happens on a node.


def _do(given: list[Any], work: Work) -> list[Run]:
    import ray

    return perform(_plan(given[0], ray), work, lambda more: None)


@cache
def _plan(given: Any, ray: Any) -> Plan:
    """Take the plan in, once for each process."""
    parcel, threads, dtype = ray.get(given)
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    (plan,) = opened(parcel)
    here = versions()
    if here != plan.header.versions:
        raise BadValue(
            f"a node of the cluster has other versions, {here}, than where the race began, "
            f"{plan.header.versions}. Install the same on every node."
        )
    warm_up()
    return plan
