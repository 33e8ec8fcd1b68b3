"""Remembers what a rule's state was at the versions that workers still compute with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

from torch import Tensor


class Readings:
    """The versions that each worker has read, and one vector for each version.

    A worker's pushes come in the order of their versions, so that a push from one version lets go
    of all that this worker read before it.
    """

    def __init__(self) -> None:
        self._read: dict[str, list[int]] = defaultdict(list)
        self._readers: Counter[int] = Counter()
        self._vectors: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._vectors)

    def note(self, worker: str, update: int, vector: Callable[[], Tensor]) -> None:
        """Remember that a worker has read version *update*; *vector* is asked for if it is new."""
        if update in self._read[worker]:
            return
        self._read[worker].append(update)
        self._readers[update] += 1
        if update not in self._vectors:
            self._vectors[update] = vector()

    def at(self, worker: str, update: int) -> Tensor | None:
        """Return the vector of a version that a worker has read, letting go of those before it."""
        self._forget(worker, [each for each in self._read[worker] if each < update])
        return self._vectors[update] if update in self._read[worker] else None

    def leave(self, worker: str) -> None:
        """Forget a worker."""
        self._forget(worker, list(self._read[worker]))
        del self._read[worker]

    def _forget(self, worker: str, updates: list[int]) -> None:
        for update in updates:
            self._read[worker].remove(update)
            self._readers[update] -= 1
            if not self._readers[update]:
                del self._readers[update], self._vectors[update]
