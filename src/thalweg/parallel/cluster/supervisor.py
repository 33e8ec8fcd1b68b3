"""Starts workers and shards, deals out batches, and takes care of those that die or do not answer.

It runs where the training was begun, and hears of everything by waiting for answers to calls.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import BadValue, WorkerDied
from thalweg.parallel.account import Account
from thalweg.parallel.cluster.questions import Servers, Unreachable
from thalweg.parallel.cluster.servers import Server
from thalweg.parallel.cluster.wire import packed, sealed, unpacked
from thalweg.parallel.cluster.workers import Report, Worker
from thalweg.parallel.engine import Job, Tally

if TYPE_CHECKING:
    from thalweg.parallel.cluster.engine import RayEngine

LOOK = 1.0
"""Seconds between two looks for workers that do not answer."""

START = 120.0
"""Seconds that processes have at least to begin."""


@dataclass(eq=False)
class Member:
    """One life of a worker, and the call that it is carrying out.

    ``held`` gradients it has not pushed; of its pushes it has ``sent`` so many, and heard what
    became of ``heard``, as far as it has told.
    """

    name: str
    rank: int
    handle: Any
    call: str = ""
    since: float = 0.0
    held: int = 0
    sent: int = 0
    heard: int = 0

    def patience(self, timeout: float) -> float:
        """Return for how many seconds to wait for an answer: to begin takes a process longer."""
        return max(START, timeout) if self.call == "begin" else timeout


class Supervisor:
    """A job under way on Ray, for an engine's settings; shards hold *parts*."""

    def __init__(
        self, ray: Any, engine: RayEngine, job: Job, parts: list[range], folder: Path
    ) -> None:
        self.ray, self.engine, self.job, self.parts = ray, engine, job, parts
        self.tally = Tally()
        self.account = Account(job, self.tally, self._time)
        self._begun, self._lives = time.monotonic(), count()
        self._parcel = ray.put(sealed(job.algorithm, job.replica, job.compression))
        self._calls: dict[Any, Member] = {}
        self._suspects: set[str] = set()
        self._looked = 0.0
        self.servers = Servers([self._server(k, folder) for k in range(len(parts))], engine.timeout)
        self._watches = {h.until_death.remote(): h for h in self.servers.handles}

    def _server(self, place: int, folder: Path) -> Any:
        serving = sealed(self.job.algorithm.serving(self.job.workers))
        return (
            self.ray.remote(Server)
            .options(num_cpus=0, max_restarts=-1)
            .remote(
                self.job.replica.layout, self.parts[place], serving,
                folder / f"shard-{place}", self.engine.snapshot_every,
            )
        )  # fmt: skip

    def run(self) -> tuple[Tensor, Tally]:
        """Go on until no gradient is left, or no worker; end all processes."""
        try:
            return self._run()
        finally:
            for handle in (*self.servers.handles, *(m.handle for m in self._calls.values())):
                self.ray.kill(handle)

    def _run(self) -> tuple[Tensor, Tally]:
        crew = [self._worker(rank) for rank in range(self.job.workers)]
        self._await_start(crew)
        for member in crew:
            self._call(member, "begin")
        while self._calls:
            self._hear()
            self._look()
        values = self._values()
        self.account.tell(self._time(), self._updates(), lambda: values)
        self._sum_up()
        return values, self.tally

    # Who takes part.

    def _worker(self, rank: int) -> Member:
        life = next(self._lives)
        name = f"worker {life}"
        seed = int(np.random.SeedSequence((self.engine.seed, life)).generate_state(1)[0])
        handle = (
            self.ray.remote(Worker)
            .options(num_cpus=0 if self.engine.address is None else self.engine.cpus)
            .remote(
                name, self.job.seat(rank), self._parcel,
                Servers(self.servers.handles, self.engine.timeout), self.parts, seed,
            )
        )  # fmt: skip
        return Member(name, rank, handle)

    def _await_start(self, crew: list[Member]) -> None:
        """Wait for the shards, then until all workers take part: no round ends without one of them.

        Raise where the cluster has no room for them, or where they cannot take part.
        """
        start = self.ray.put(packed(self.job.start))
        ready = [handle.begin.remote(start) for handle in self.servers.handles]
        limit, errors = max(START, self.engine.timeout), self.ray.exceptions
        try:
            self.ray.get(ready, timeout=limit)
            self.ray.get([member.handle.join.remote() for member in crew], timeout=limit)
        except errors.GetTimeoutError as error:
            free = self.ray.available_resources().get("CPU", 0)
            raise BadValue(
                f"{len(crew)} workers have not begun in {limit:g} seconds; "
                f"{free:g} CPUs are free, each worker needs {self.engine.cpus:g}. Use fewer "
                "workers, or a larger cluster or timeout."
            ) from error
        except errors.RayTaskError as error:
            raise _cause(error) from error
        except errors.RayActorError as error:
            raise WorkerDied(f"a process died when it began: {_reason(error)}") from error

    def _call(self, member: Member, call: str, *arguments: Any) -> None:
        member.call, member.since = call, time.monotonic()
        self._calls[getattr(member.handle, call).remote(*arguments)] = member

    # What is heard.

    def _hear(self) -> None:
        """Wait a while for an answer, or for the news that a process died."""
        done, _ = self.ray.wait([*self._calls, *self._watches], timeout=LOOK)
        for call in done:
            if call in self._watches:
                self._reopen(self._watches.pop(call))
            else:
                self._take(call, self._calls.pop(call))

    def _take(self, call: Any, member: Member) -> None:
        """Take a report, or find that there will be none."""
        errors = self.ray.exceptions
        try:
            report = self.ray.get(call)
        except errors.RayTaskError as error:
            cause = _cause(error)
            if not isinstance(cause, Unreachable):
                raise cause from error
            self.tally.unreachable += 1
            self._dismiss(member)
        except errors.RayActorError:
            self._dismiss(member)
            self._start_again(member.rank)
        else:
            self._note(member, report)
            self._go_on(member, report)

    def _note(self, member: Member, report: Report) -> None:
        for receipt in report.receipts:
            self.tally.note(receipt)
        self.tally.resent += report.resent
        member.held, member.sent = report.held, report.sent
        member.heard += len(report.receipts) // len(self.parts)
        for buffer, found in zip(self.job.replica.model.buffers(), report.buffers, strict=True):
            buffer.copy_(found)
        if report.loss is not None and self.account.note(member.rank, report.loss, report.examples):
            self.account.tell(self._time(), self._updates(), self._values)

    def _go_on(self, member: Member, report: Report) -> None:
        member.call = ""
        if report.ended:
            self._dismiss(member)
            return
        number = self.account.deal()
        if number is None:
            self._call(member, "end")
        else:
            self._call(member, "work", number)

    def _dismiss(self, member: Member) -> None:
        """Let a worker go that ended, died or does not answer, and count what goes with it."""
        self.ray.kill(member.handle)
        self.tally.lost_gradients += member.held + (member.call == "work")
        arrived = self.servers.ask_alike("leave", member.name)
        self.tally.lost_pushes += sum(max(n, member.sent) - member.heard for n in arrived)

    def _start_again(self, rank: int) -> None:
        if self.account.undealt and self.tally.restarts < self.engine.restarts:
            self.tally.restarts += 1
            self._call(self._worker(rank), "begin")

    def _reopen(self, handle: Any) -> None:
        """Let a shard that died go on, with the workers that are there now."""
        self._watches[handle.until_death.remote()] = handle
        names = [member.name for member in self._calls.values()]
        Servers([handle], self.engine.timeout).ask_alike("open", names)

    # Who does not answer.

    def _look(self) -> None:
        """Now and then, look for workers that are stuck and for waits that will not end."""
        if time.monotonic() - self._looked < LOOK or not self._calls:
            return
        self._looked = time.monotonic()
        if not self.account.undealt:
            self._spare_beginners()
        waiting = {name for names in self.servers.ask_alike("waiting") for name in names}
        crew = {member.name for member in self._calls.values()}
        if crew <= waiting:
            self._let_go_of(crew)
        else:
            self._end_those_stuck(waiting)

    def _spare_beginners(self) -> None:
        """Wait for nobody who would begin when nothing is left to do."""
        for call, member in list(self._calls.items()):
            if member.call == "begin":
                del self._calls[call]
                self._dismiss(member)

    def _let_go_of(self, crew: set[str]) -> None:
        """Answer workers that all wait for one another, when they did so at the last look too."""
        if crew == self._suspects:
            self.tally.released += sum(self.servers.ask_alike("let_go"))
        self._suspects = crew

    def _end_those_stuck(self, waiting: set[str]) -> None:
        """End those that neither answer nor wait, as they did not at the last look."""
        now, timeout = time.monotonic(), self.engine.timeout
        late = {m.name for m in self._calls.values() if now - m.since > m.patience(timeout)}
        late -= waiting
        for call, member in list(self._calls.items()):
            if member.name in late & self._suspects:
                del self._calls[call]
                self._dismiss(member)
                self._start_again(member.rank)
        self._suspects = late

    # What is told.

    def _time(self) -> float:
        return time.monotonic() - self._begun

    def _updates(self) -> int:
        return max(standing.version.update for standing in self.servers.ask_alike("standing"))

    def _values(self) -> Tensor:
        dtype = self.job.replica.layout.dtype
        found = self.servers.ask_alike("values")
        return torch.cat([unpacked(part.values, dtype) for part in found])

    def _sum_up(self) -> None:
        """Count what never was, and what shards have lost."""
        self.tally.undealt = self.account.undealt
        for standing in self.servers.ask_alike("standing"):
            self.tally.restored += standing.version.life
            self.tally.lost_updates += standing.lost_updates
            self.tally.lost_pushes += standing.lost_pushes


def _reason(death: Exception) -> str:
    """Return why a process died: what was raised when it was made, or all that Ray knows."""
    said = str(death).strip()
    return said.splitlines()[-1] if "creation task" in said else said


def _cause(error: Any) -> BaseException:
    """Return what was raised in a worker, or in a shard that it asked."""
    while getattr(error, "cause", None) is not None:
        error = error.cause
    found: BaseException = error
    return found
