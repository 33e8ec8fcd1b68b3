"""A shard in a process of its own, which Ray begins anew where it dies."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from thalweg.errors import BadFile
from thalweg.parallel.cluster.ledger import Ledger
from thalweg.parallel.cluster.mailbox import Mailboxes
from thalweg.parallel.cluster.wire import Box, Parcel, opened, packed, unboxed, unpacked
from thalweg.parallel.flat import Layout
from thalweg.parallel.server.shard import Shard
from thalweg.parallel.server.snapshots import Snapshots
from thalweg.parallel.server.versions import Receipt, Version


class Part(NamedTuple):
    """A shard's part of the parameters, as bytes, and its version."""

    values: np.ndarray
    version: Version


class Standing(NamedTuple):
    """The version of a shard, and what was lost with its deaths."""

    version: Version
    lost_updates: int
    lost_pushes: int


class Server:
    """The process of one shard. Ray calls its methods one after the other, in one thread.

    It answers nobody before it is told the parameters at the beginning. A snapshot is taken after
    every *every* updates, into *folder*, besides the one at the beginning. A process that begins
    *again* takes up the last one, and answers nobody before it is told who takes part.
    """

    def __init__(
        self, layout: Layout, part: range, serving: Parcel, folder: Path, every: int,
        again: bool | None = None,
    ) -> None:  # fmt: skip
        self._layout, self._every = layout, every
        nothing = torch.zeros(layout.size, dtype=layout.dtype)
        self._shard = Shard(layout, part, nothing, *opened(serving))
        again = _reconstructed() if again is None else again
        self._snapshots, self._ledger = Snapshots(folder, again), Ledger(folder, again)
        self._mailboxes = Mailboxes()
        self._waiting: dict[asyncio.Future[bool], str] = {}
        self._opened = asyncio.Event()
        if again:
            self._restore(folder)
            self._ledger.note_death(self._shard.version.update)
        self._noted = self._shard.version

    def _restore(self, folder: Path) -> None:
        self._snapshots.restore(self._shard)
        if not self._shard.version.life:
            raise BadFile(
                f"a shard began anew where {folder} has no snapshot of it. Name a folder that all "
                "nodes of the cluster share."
            )

    # Who takes part.

    async def begin(self, values: np.ndarray) -> None:
        """Begin with these parameters of the whole model, and answer from now on.

        They do not come with what the process is made of: Ray would have to keep that for as long
        as the process may begin again, which needs none of it.
        """
        part = self._shard.part
        self._shard.values.copy_(unpacked(values, self._layout.dtype)[part.start : part.stop])
        self._snapshots.save(self._shard)
        self._opened.set()

    async def open(self, workers: list[str]) -> None:
        """Answer from now on, and let these workers take part."""
        for worker in workers:
            self._shard.join(worker, self._layout)
        self._opened.set()

    async def join(self, worker: str, layout: Layout) -> None:
        """Let a worker take part; BadValue where its model is another."""
        await self._opened.wait()
        self._shard.join(worker, layout)

    async def leave(self, worker: str) -> int:
        """Wait no longer for a worker; return how many of its pushes have come."""
        self._shard.leave(worker)
        self._mailboxes.forget(worker)
        self._note()
        return self._shard.pushes(worker)

    # What workers ask for.

    async def pull(self, worker: str, since: Version | None, patience: float) -> Part | None:
        """Return the parameters; None if there is nothing newer for *patience* seconds."""
        await self._opened.wait()
        try:
            async with asyncio.timeout(patience):
                return await self._newer(worker, since)
        except TimeoutError:
            return None

    async def _newer(self, worker: str, since: Version | None) -> Part:
        while (reading := self._shard.pull(worker, since)) is None:
            if await self._woken(worker):
                since = None
        return Part(packed(reading.values), reading.versions[0])

    async def _woken(self, worker: str) -> bool:
        """Wait for an update, or for being let go, which is True."""
        bell: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[bell] = worker
        try:
            return await bell
        finally:
            del self._waiting[bell]

    async def push(
        self, gradient: Box, version: Version, worker: str, sequence: int, weight: float
    ) -> Receipt | None:
        """Bring the shard a push; None if it lies in a mailbox that is out of reach."""
        await self._opened.wait()
        if gradient.mailbox is not None:
            values = self._mailboxes.look(worker, gradient.mailbox)
            if values is None:
                return None
            gradient = gradient._replace(values=values)
        vector = unboxed(gradient, self._layout.dtype)
        receipt = self._shard.push(vector, version, worker, sequence, weight)
        self._note()
        return receipt

    def _note(self) -> None:
        """Write down where the shard stands, and wake who waits for it to come further."""
        version = self._shard.version
        self._ledger.note(version.update, self._shard.gathered)
        if version == self._noted:
            return
        self._noted = version
        if version.update % self._every == 0:
            self._snapshots.save(self._shard)
        self._ring(False)

    def _ring(self, let_go: bool) -> int:
        bells = [bell for bell in self._waiting if not bell.done()]
        for bell in bells:
            bell.set_result(let_go)
        return len(bells)

    # What the supervisor asks for.

    async def values(self) -> Part:
        """Return the parameters to one who takes no part."""
        return Part(packed(self._shard.values.clone()), self._shard.version)

    async def standing(self) -> Standing:
        """Return how far the shard has come, and what was lost on the way."""
        entry = self._ledger.entry
        return Standing(self._shard.version, entry.lost_updates, entry.lost_pushes)

    async def waiting(self) -> list[str]:
        """Return the workers that wait for something newer."""
        return list(self._waiting.values())

    async def let_go(self) -> int:
        """Answer all who wait with what there is; return how many these were."""
        return self._ring(True)

    async def until_death(self) -> None:
        """Never return, so that an answer means that the process is gone."""
        await asyncio.Event().wait()


def _reconstructed() -> bool:
    """Return whether Ray has begun this process in place of one that died."""
    import ray

    return bool(ray.get_runtime_context().was_current_actor_reconstructed)
