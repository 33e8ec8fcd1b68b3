"""What a simulation is like: how fast workers and messages are, and what breaks when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue
from thalweg.parallel.inproc.distributions import Distribution, as_distribution

Kind = Literal["kill worker", "pause worker", "kill shard"]
KINDS = ("kill worker", "pause worker", "kill shard")


@dataclass(frozen=True)
class Network:
    """How messages travel: each way takes a *latency*, and its bytes over the *bandwidth*.

    A share *loss* of the messages never arrives, on either way. One that is not answered within
    *timeout* is sent again, *retries* times; then the worker that sent it gives up. Times are
    virtual seconds, the bandwidth is bytes in one. Messages of a worker do not overtake each other.
    """

    latency: float | Distribution = 0.0
    bandwidth: float | Distribution | None = None
    loss: float = 0.0
    timeout: float = 30.0
    retries: int = 5

    def __post_init__(self) -> None:
        as_distribution(self.latency)
        if self.bandwidth is not None and not as_distribution(self.bandwidth).mean:
            raise BadValue("bandwidth=0; expected bytes in a virtual second, or None for no limit.")
        check_number("loss", self.loss, 0, 1)
        check_number("timeout", self.timeout, 0)
        check_count("retries", self.retries, 0)
        if not self.timeout:
            raise BadValue("timeout=0; expected a positive number of virtual seconds.")

    def delay(self, random: np.random.Generator, size: int) -> float:
        """Draw how long a message of *size* bytes is on its way."""
        delay = as_distribution(self.latency).draw(random)
        if self.bandwidth is not None:
            delay += size / as_distribution(self.bandwidth).draw(random)
        return delay

    def loses(self, random: np.random.Generator) -> bool:
        """Draw whether a message never arrives."""
        return self.loss > 0 and random.random() < self.loss


@dataclass(frozen=True)
class Fault:
    """Something that breaks: a worker by its rank, or a shard by its number, at a virtual time.

    What was killed begins anew after *lasts* seconds, never if that is infinite; what was paused
    goes on where it was. A message that a killed worker was sending arrives or does not.
    """

    at: float
    kind: Kind
    target: int = 0
    lasts: float = inf

    def __post_init__(self) -> None:
        check_number("at", self.at, 0)
        check_count("target", self.target, 0)
        if self.kind not in KINDS:
            raise BadValue(f"kind={self.kind!r}; expected one of {', '.join(KINDS)}.")
        if not isinstance(self.lasts, (int, float)) or isinstance(self.lasts, bool):
            raise BadType(f"lasts={self.lasts!r}; expected a number of virtual seconds.")
        if not self.lasts >= 0:
            raise BadValue(f"lasts={self.lasts!r}; expected a number of at least 0.")


def failures(
    kind: Kind, targets: int, between: Distribution, lasts: Distribution, until: float, seed: int
) -> list[Fault]:
    """Draw faults of one kind for each of so many workers or shards, up to a virtual time.

    *between* is how long each of them works before it breaks, *lasts* how long it is then away.
    """
    check_number("until", until, 0)
    streams = np.random.SeedSequence((seed, KINDS.index(kind))).spawn(targets)
    return [
        Fault(at, kind, target, away)
        for target, stream in enumerate(streams)
        for at, away in _broken(np.random.default_rng(stream), between, lasts, until)
    ]


def _broken(
    random: np.random.Generator, between: Distribution, lasts: Distribution, until: float
) -> Iterator[tuple[float, float]]:
    if not between.mean:
        raise BadValue(f"between={between!r}; expected a distribution whose mean is positive.")
    time = between.draw(random)
    while time < until:
        away = lasts.draw(random)
        yield time, away
        time += away + between.draw(random)
