"""Work is done piece by piece in this process, or by several others at once: the same numbers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial
from typing import Protocol, final

import torch

from thalweg.arguments import check_count
from thalweg.errors import BadValue, ThalwegError, WorkerDied
from thalweg.racing.plan import Plan
from thalweg.racing.result import Run
from thalweg.racing.work import Work, perform, warm_up

Tell = Callable[[Work, int], None]
"""Called with a piece of work and how many epochs of its trainings are newly done."""


class Hands(Protocol):
    """What does the work of a race."""

    def do(self, pieces: Sequence[Work], tell: Tell) -> Iterator[tuple[Work, list[Run]]]:
        """Do all pieces, and yield each with its runs as soon as it is done."""


@contextmanager
def hands(plan: Plan, number: int, ray: str | None = None) -> Iterator[Hands]:
    """Yield what does the work: this process, a *number* of others, or the cluster *ray*.

    They have as many threads as this one, so that their numbers are the same. Raises BadValue for a
    plan that cannot be sent to them, WorkerDied where one of them ends before its work.
    """
    check_count("workers", number)
    if ray is not None:
        yield from _on_cluster(plan, number, ray)
        return
    if number == 1:
        yield Here(plan)
        return
    given = _sent(plan), plan.header.threads, torch.get_default_dtype()
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(number, spawn, _begin, given)
    try:
        yield Workers(pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _on_cluster(plan: Plan, number: int, address: str) -> Iterator[Hands]:
    if number > 1:
        raise BadValue(
            f"workers={number} are processes here, and ray={address!r} names a cluster, which has "
            "as many as it has cores; give one of them."
        )
    from thalweg.racing.nodes import nodes

    with nodes(plan, address) as found:
        yield found


@final
class Here:
    """Does work in this process, one piece after the other."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        warm_up()

    def do(self, pieces: Sequence[Work], tell: Tell) -> Iterator[tuple[Work, list[Run]]]:
        """Do all pieces, and yield each with its runs as soon as it is done."""
        for work in pieces:
            tell(work, 0)
            yield work, perform(self.plan, work, partial(tell, work))


@final
class Workers:
    """Does work in other processes, as many pieces at once as there are processes."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool
        with _lost(_AT_ONCE):
            pool.submit(_ready).result()

    def do(self, pieces: Sequence[Work], tell: Tell) -> Iterator[tuple[Work, list[Run]]]:
        """Do all pieces, and yield each with its runs as soon as it is done."""
        waiting: dict[Future, Work] = {self.pool.submit(_do, work): work for work in pieces}
        for future in as_completed(waiting):
            with _lost(_AT_WORK):
                runs = future.result()
            yield waiting[future], runs


_AT_ONCE = (
    "before any training. Each of them imports the script that races: let it begin the race below "
    'if __name__ == "__main__".'
)
_AT_WORK = (
    "at its work; it crashed or was killed, perhaps for want of memory, which fewer workers need "
    "less of. What was recorded is kept, and the race can go on from it."
)


@contextmanager
def _lost(when: str) -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise WorkerDied(f"a worker process ended {when}") from error


def _sent(plan: Plan) -> bytes:
    """Return a plan as bytes, or say why it cannot be sent."""
    try:
        return pickle.dumps(plan)
    except (pickle.PicklingError, AttributeError, TypeError, ValueError) as error:
        raise _unsendable(plan.problem.name, error) from error


def _unsendable(name: str, error: Exception) -> BadValue:
    return BadValue(
        f"{name!r} cannot be sent to worker processes ({error}). Give the race its name or the "
        "path of its problem file; or define model, loss and rules at the top level of a module "
        "that can be imported; or race with workers=1."
    )


# What happens in a worker.


def _begin(plan: bytes, number: int, dtype: torch.dtype) -> None:
    """Make a new process like the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(number)
    torch.set_default_dtype(dtype)
    _given.append(plan)


_given: list[bytes] = []
"""The plan that this worker was sent."""


def _end_with_parent() -> None:
    """End at once where the process that hands out the work was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@cache
def _plan() -> Plan:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            plan: Plan = pickle.loads(_given[0])
        except ThalwegError:
            raise
        except Exception as error:
            raise _unsendable("the problem", error) from error
    warm_up()
    return plan


def _ready() -> None:
    """Take the plan in, which may take a while or fail."""
    _plan()


def _do(work: Work) -> list[Run]:
    return perform(_plan(), work, lambda more: None)
