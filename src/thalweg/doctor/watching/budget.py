"""A probe is taken when the training so far has earned what it will cost."""

from __future__ import annotations

import math


class Budget:
    """Seconds that watching may take: a share of the training's own.

    Probes are taken in pairs, of one update and the next, so that their gradients can be compared.
    The first pair is taken whatever it costs; each further one costs twice the mean so far.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._probes, self._cost = 0, 0.0

    def wait(self, run: float, watching: float) -> float:
        """Return the seconds until a probe may be taken, none or fewer where it may be taken now.

        The training has taken *run* seconds, *watching* of them went into watching.
        """
        if not self._share:
            return math.inf
        if self._probes < 2 or self._probes % 2:
            return 0.0
        pair = 2 * self._cost / self._probes
        return (watching + pair) / self._share - (run - watching)

    def spent(self, seconds: float) -> None:
        """Take in what a probe cost."""
        self._probes += 1
        self._cost += seconds
