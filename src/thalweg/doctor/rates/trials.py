"""Short runs at constant rates, from the same start and on the same batches, around the best."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from thalweg.doctor.rates.subject import Subject
from thalweg.errors import NoRate
from thalweg.training.data.forms import Batch

STEP, FINE = 0.5, 0.25
"""Decades between the rates that are tried first, and between those beside the best."""

MOST = 14
"""So many short runs at most."""

ORDERS = 2
"""Orders of the data that each rate is tried in."""

CLOSE = 0.01
"""A rate is as good as the best if its loss lacks at most this share of what the best gained."""


@final
class Trials:
    """The losses of short runs by their rates; ``start`` is the loss that all begin with."""

    def __init__(self, subject: Subject, updates: int) -> None:
        self._subject = subject
        self._orders = [subject.drawn(updates, run) for run in range(1, ORDERS + 1)]
        self.updates = updates
        self.losses: dict[float, float] = {}
        learner = subject.learner()
        self.start = subject.judged(learner) if subject.valid else math.nan

    def search(self, begin: float) -> None:
        """Try rates from *begin* upwards and downwards, until the best has worse ones beside it."""
        exponents = [0.0, STEP, -STEP]
        while exponents and len(self.losses) < MOST - 2:
            for each in exponents:
                self._try(begin * 10**each)
            places = [math.log10(rate / begin) for rate in self.losses]
            best = math.log10(self.best / begin)
            ends = {min(places): -STEP, max(places): STEP}
            exponents = [place + step for place, step in ends.items() if abs(place - best) < 0.01]
        best = self.best
        for each in (FINE, -FINE):
            self._try(best * 10**each)
        if not math.isfinite(self.losses[self.best]):
            raise NoRate(
                f"every short run diverged, down to a learning rate of {min(self.losses):.2g}. "
                "Look for another cause with `thalweg doctor` or thalweg.watch."
            )

    @property
    def best(self) -> float:
        """The rate with the lowest loss; of those that are equal, the smallest."""
        return min(sorted(self.losses), key=lambda rate: self.losses[rate])

    @property
    def good(self) -> tuple[float, float]:
        """The ends of the rates around the best that are as good as it, nearly."""
        rates = sorted(self.losses)
        least = self.losses[self.best]
        bar = least + CLOSE * max(self.start - least, 0)
        low = high = rates.index(self.best)
        while low > 0 and self.losses[rates[low - 1]] <= bar:
            low -= 1
        while high < len(rates) - 1 and self.losses[rates[high + 1]] <= bar:
            high += 1
        return rates[low], rates[high]

    @property
    def span(self) -> tuple[float, float]:
        """The good rates, and halfway to those beside them that are not."""
        rates, (low, high) = sorted(self.losses), self.good
        below = rates[max(rates.index(low) - 1, 0)]
        above = rates[min(rates.index(high) + 1, len(rates) - 1)]
        return math.sqrt(below * low), math.sqrt(high * above)

    def _try(self, rate: float) -> None:
        if rate not in self.losses:
            runs = enumerate(self._orders, start=1)
            self.losses[rate] = float(np.mean([self._loss(rate, *each) for each in runs]))

    def _loss(self, rate: float, run: int, batches: list[Batch]) -> float:
        """Return the loss after a run: on the validation set, or over its own last quarter."""
        learner, found = self._subject.learner(run), []
        for batch in batches:
            found.append(float(learner.update(batch, rate)))
            if not math.isfinite(found[-1]):
                return math.inf
        if math.isnan(self.start):
            self.start = found[0]
        quarter = found[-max(len(found) // 4, 1) :]
        loss = self._subject.judged(learner) if self._subject.valid else float(np.mean(quarter))
        return loss if math.isfinite(loss) else math.inf
