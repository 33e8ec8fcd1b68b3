"""Synchronous data parallelism: every update is of the mean gradient of all workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thalweg.parallel.algorithms.algorithm import (
    Algorithm,
    Gradient,
    Pull,
    Push,
    Script,
    Seat,
    found_rule,
    settings_of,
)
from thalweg.parallel.server.serving import Serving
from thalweg.rules import Rule


@dataclass(frozen=True)
class Synchronous(Algorithm):
    """W workers with batches of B examples make the updates of one with batches of WB.

    The mean counts every example alike. The learning rate is that of the large batch.
    """

    rule: str | Rule = "sgd"
    lr: Any = None
    hyper: Mapping[str, Any] | None = None

    def serving(self, workers: int) -> Serving:
        """Return rounds of the rule."""
        rule = found_rule(self.rule)
        return Serving(rule, settings_of(rule, self.lr, self.hyper), rounds=True)

    def script(self, seat: Seat) -> Script:
        """Measure a gradient at the newest parameters, push it, wait for the round to end."""
        reading = yield Pull()
        while (found := (yield Gradient(reading.values))) is not None:
            yield Push(found.gradient, reading.versions, found.examples)
            reading = yield Pull(since=reading.versions)
