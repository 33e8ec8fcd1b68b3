"""Local updates: workers train alone for a while, and the server steps along their mean change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thalweg.arguments import check_count
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
from thalweg.parallel.algorithms.walker import Walker
from thalweg.parallel.server.serving import Serving
from thalweg.rules import Rule


@dataclass(frozen=True)
class LocalUpdates(Algorithm):
    """Every worker makes *period* updates by *rule*; then the server makes one by *outer*.

    The gradient of the outer rule is the mean of how far the workers came, turned around, each
    weighted by its examples. The defaults are local SGD, whose outer step at learning rate 1 is the
    mean of the workers' parameters; ``diloco`` has other ones. The state of a worker's rule stays.
    """

    rule: str | Rule = "sgd"
    lr: Any = None
    hyper: Mapping[str, Any] | None = None
    period: int = 16
    outer: str | Rule = "sgd"
    outer_lr: Any = 1.0
    outer_hyper: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_count("period", self.period)
        found_rule(self.rule)

    def serving(self, workers: int) -> Serving:
        """Return rounds of the outer rule."""
        outer = found_rule(self.outer)
        return Serving(outer, settings_of(outer, self.outer_lr, self.outer_hyper), rounds=True)

    def script(self, seat: Seat) -> Script:
        """Walk for a period, push the way back, wait for the others, and go on from the server."""
        rule = found_rule(self.rule)
        reading = yield Pull()
        here = Walker(seat.layout, reading.values, rule, settings_of(rule, self.lr, self.hyper))
        left = True
        while left:
            examples = 0
            for _ in range(self.period):
                found = yield Gradient(here.x.clone())
                if found is None:
                    left = False
                    break
                here.step(found.gradient)
                examples += found.examples
            if examples:
                yield Push(reading.values - here.x, reading.versions, examples)
                reading = yield Pull(since=reading.versions)
                here.x.copy_(reading.values)


def diloco(
    lr: Any = 1e-3, period: int = 500, outer_lr: Any = 0.7, momentum: float = 0.9
) -> LocalUpdates:
    """Return DiLoCo: AdamW in the workers, Nesterov's momentum at the server.

    Douillard et al. 2023, DiLoCo: distributed low-communication training of language models.
    """
    return LocalUpdates(
        "adamw", lr, period=period, outer="nesterov", outer_lr=outer_lr,
        outer_hyper={"momentum": momentum},
    )  # fmt: skip
