"""Downpour: workers push gradients and fetch parameters whenever they are ready.

Dean et al. 2012, Large scale distributed deep networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from torch import Tensor

from thalweg.arguments import check_count
from thalweg.parallel.algorithms.algorithm import (
    Algorithm,
    Gradient,
    Pull,
    Push,
    Script,
    Seat,
    after_updates,
    found_rule,
    settings_of,
)
from thalweg.parallel.algorithms.walker import Walker
from thalweg.parallel.server.serving import Serving
from thalweg.rules import Rule, sgd

STALENESS = 10
"""How many updates old a gradient may be by default, in numbers of workers."""

WARM = 100
"""The share of all gradients that one worker measures alone by default: one in so many."""


@dataclass(frozen=True)
class Downpour(Algorithm):
    """Every worker pushes the sum of *n_push* gradients, and fetches after *n_fetch* of them.

    The server updates by *rule*, any rule: Adagrad as in the paper, or ``adaptive_revision``, which
    bears late gradients. Its learning rate is *lr* divided by the number of workers, unless
    *divide* is false: undivided, as many gradients as there are workers move parameters that none
    of them has seen moved. Between fetches a worker steps by itself, down its own gradients, with
    *local_lr*, the server's learning rate by default.

    The first worker begins alone, for *warm_start* updates, by default a hundredth of all; pushes
    more than *staleness* updates old, by default ten times the workers, are refused. With *overlap*
    a worker goes on with what it has while it fetches, as in the paper; else it waits.
    """

    rule: str | Rule = "adagrad"
    lr: Any = None
    hyper: Mapping[str, Any] | None = None
    n_push: int = 1
    n_fetch: int = 1
    warm_start: int | None = None
    staleness: int | None = None
    divide: bool = True
    overlap: bool = False
    local_lr: Any = None

    def __post_init__(self) -> None:
        check_count("n_push", self.n_push)
        check_count("n_fetch", self.n_fetch)
        for name in ("warm_start", "staleness"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 0)

    def serving(self, workers: int) -> Serving:
        """Return the rule, an update for every push."""
        staleness = STALENESS * workers if self.staleness is None else self.staleness
        return Serving(found_rule(self.rule), self._settings(workers), staleness=staleness)

    def _settings(self, workers: int) -> dict[str, Any]:
        found = settings_of(found_rule(self.rule), self.lr, self.hyper)
        if self.divide and workers > 1 and "lr" in found:
            found["lr"] = found["lr"] * (1 / workers)
        return found

    def script(self, seat: Seat) -> Script:
        """Fetch, measure, push, and step in between."""
        reading = yield Pull(since=after_updates(self._alone(seat), seat.shards))
        here = self._walker(seat, reading.values) if self.n_fetch > 1 or self.overlap else None
        pushed, examples = None, 0
        for step in count():
            if step and step % self.n_fetch == 0:
                fetched = yield Pull(wait=not self.overlap)
                if fetched is not None:
                    reading = fetched
                    if here is not None:
                        here.x.copy_(fetched.values)
            found = yield Gradient(reading.values if here is None else here.x.clone())
            if found is None:
                break
            pushed = found.gradient if pushed is None else pushed + found.gradient
            examples += found.examples
            if (step + 1) % self.n_push == 0:
                yield Push(pushed, reading.versions, examples)
                pushed, examples = None, 0
            if here is not None:
                here.step(found.gradient)
        if isinstance(pushed, Tensor):
            yield Push(pushed, reading.versions, examples)

    def _alone(self, seat: Seat) -> int:
        """Return how many updates a worker waits for before it begins."""
        if seat.rank == 0 or seat.workers == 1:
            return 0
        return seat.gradients // WARM if self.warm_start is None else self.warm_start

    def _walker(self, seat: Seat, values: Tensor) -> Walker:
        lr = self._settings(seat.workers).get("lr") if self.local_lr is None else self.local_lr
        return Walker(seat.layout, values, sgd, settings_of(sgd, lr, None))
