"""Where a shard runs in a simulation: up or down, with its snapshots and with who waits there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from thalweg.parallel.flat import Layout
from thalweg.parallel.server.shard import Shard
from thalweg.parallel.server.snapshots import Snapshots
from thalweg.parallel.server.versions import Version

if TYPE_CHECKING:
    from thalweg.parallel.inproc.post import Message


class Host:
    """The place of one shard; ``shard`` is None while it is down.

    A snapshot is taken after every *every* updates, besides the one at the beginning. ``waiting``
    are the messages that are answered once there is something newer.
    """

    def __init__(self, make: Callable[[], Shard], snapshots: Snapshots, every: int | None) -> None:
        self._make, self.snapshots, self._every = make, snapshots, every
        shard = make()
        self.part = shard.part
        self.shard: Shard | None = shard
        self.waiting: dict[Message, None] = {}
        snapshots.save(shard)

    @property
    def version(self) -> Version | None:
        """The version of the shard, None while it is down."""
        return self.shard.version if self.shard else None

    def save_if_due(self) -> None:
        """Take a snapshot where the shard has come to an update that has one."""
        shard = self.shard
        if shard and self._every and shard.version.update % self._every == 0:
            self.snapshots.save(shard)

    def kill(self) -> tuple[int, int]:
        """Let the shard die; return how many updates, and pushes of an open round, are lost."""
        shard, self.shard = self.shard, None
        if shard is None:
            return 0, 0
        return shard.version.update - self.snapshots.update, shard.gathered

    def restore(self, workers: Iterable[str], layout: Layout) -> Shard:
        """Begin anew from the last snapshot, with the workers that are there now."""
        self.shard = shard = self._make()
        self.snapshots.restore(shard)
        for worker in workers:
            shard.join(worker, layout)
        return shard
