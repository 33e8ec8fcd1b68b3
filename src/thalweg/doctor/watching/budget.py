"""A probe is taken when the training so far has earned what it will cost."""

from __future__ import annotations


class Budget:
    """Seconds that watching may take: a share of the training's own.

    The first probe is taken whatever it costs; each further one costs as much as the mean so far.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._probes, self._cost = 0, 0.0

    def affords(self, run: float, watching: float) -> bool:
        """Whether a probe may be taken after *run* seconds, *watching* of them on watching."""
        if not self._probes:
            return self._share > 0
        return watching + self._cost / self._probes <= self._share * (run - watching)

    def spent(self, seconds: float) -> None:
        """Take in what a probe cost."""
        self._probes += 1
        self._cost += seconds
