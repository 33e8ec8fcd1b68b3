"""A worker of a simulation: a script, whether it lives, and what it waits for."""

from __future__ import annotations

from collections.abc import Callable

from thalweg.parallel.algorithms.algorithm import Script
from thalweg.parallel.compression import Compressor
from thalweg.parallel.inproc.calls import Call
from thalweg.parallel.inproc.clock import Clock


class VirtualWorker:
    """One life of the worker of a rank.

    ``sending`` and ``fetching`` are the last push and the last fetch that it did not wait for,
    ``measuring`` says whether it has a batch in hand, ``held`` how many gradients it has not
    pushed. ``compressors`` pack its pushes, one for each shard.
    """

    def __init__(
        self, name: str, rank: int, script: Script, clock: Clock, compressors: list[Compressor]
    ) -> None:
        self.name, self.rank, self.script, self._clock = name, rank, script, clock
        self.compressors = compressors
        self.alive, self.measuring = True, False
        self.awake_from = 0.0
        self.held = self.sequence = 0
        self.sending: Call | None = None
        self.fetching: Call | None = None

    def pause(self, lasts: float) -> None:
        """Do nothing for a while."""
        self.awake_from = max(self.awake_from, self._clock.now + lasts)

    def when_awake(self, action: Callable[[], None]) -> None:
        """Carry out an action of this worker as soon as it lives and is not paused."""
        if not self.alive:
            return
        if self._clock.now < self.awake_from:
            self._clock.at(self.awake_from, lambda: self.when_awake(action))
        else:
            action()

    def die(self) -> None:
        """End at once."""
        self.alive = False
        self.script.close()
