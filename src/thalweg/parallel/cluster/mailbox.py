"""Memory that a worker shares with the shards of its machine, so that a push costs one copy."""

from __future__ import annotations

import mmap
import os
import weakref
from typing import NamedTuple

import numpy as np

LARGE = 1_000_000
"""From so many bytes on a push goes through a mailbox; less travels in the message itself."""


class Place(NamedTuple):
    """Where a mailbox is: a node of Ray's, a process on it, an open file of that, its bytes."""

    node: str
    process: int
    file: int
    size: int


class Mailbox:
    """Memory for the bytes of one push at a time.

    It has no name: other processes of the same user find it by the process that made it, and it is
    gone when nobody has it open any more, however that process ends. What lies in it stays until
    the next is put there, which must not be before the last was answered.
    """

    def __init__(self, size: int) -> None:
        file = os.memfd_create("push")
        weakref.finalize(self, os.close, file)
        os.ftruncate(file, size)
        self._bytes = np.frombuffer(mmap.mmap(file, size), np.uint8)
        self.place = Place(_node(), os.getpid(), file, size)

    def put(self, values: np.ndarray) -> None:
        """Put as many bytes there as it has."""
        np.copyto(self._bytes, values)

    def content(self) -> np.ndarray:
        """Return what was put there last, over the same memory."""
        return self._bytes


class Mailboxes:
    """The mailboxes that a shard has looked into, by the name of their worker."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Place, np.ndarray]] = {}

    def look(self, worker: str, place: Place) -> np.ndarray | None:
        """Return what lies in a worker's mailbox, for reading; None if it is out of reach."""
        known = self._known.get(worker)
        if known is not None and known[0] == place:
            return known[1]
        found = _opened(place) if place.node == _node() else None
        if found is not None:
            self._known[worker] = place, found
        return found

    def forget(self, worker: str) -> None:
        """Let the memory of a worker go."""
        self._known.pop(worker, None)


def _opened(place: Place) -> np.ndarray | None:
    try:
        file = os.open(f"/proc/{place.process}/fd/{place.file}", os.O_RDONLY)
    except OSError:
        return None
    try:
        return np.frombuffer(mmap.mmap(file, place.size, access=mmap.ACCESS_READ), np.uint8)
    finally:
        os.close(file)


def shared_memory() -> bool:
    """Whether this system has memory without a name."""
    return hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd")


def _node() -> str:
    import ray

    node: str = ray.get_runtime_context().get_node_id()
    return node
