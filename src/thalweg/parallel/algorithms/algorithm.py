"""An algorithm is what the server does with pushes, and a script that every worker runs.

A script is a generator. It yields what it wants and is sent the answer; who carries that out, where
and how fast, is the engine's affair. So the same script runs in a simulation and on a cluster.

| a script yields | and is sent |
|---|---|
| ``Gradient(at)`` | a ``Measured`` gradient on the next batch, None when no batch is left |
| ``Pull(since, wait)`` | a ``Reading``; None where nothing has come yet and *wait* is false |
| ``Push(vector, versions, weight)`` | nothing; one push of a worker is on its way at a time |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from thalweg import rules
from thalweg.errors import BadType
from thalweg.parallel.flat import Layout
from thalweg.parallel.server.serving import Serving
from thalweg.parallel.server.versions import Reading, Version, Versions
from thalweg.rules import Rule


class Gradient(NamedTuple):
    """Asks for the gradient at a vector of parameters, on the next batch."""

    at: Tensor


class Measured(NamedTuple):
    """A gradient as a vector, the mean loss of its batch, and how many examples that has."""

    gradient: Tensor
    loss: float
    examples: int


class Pull(NamedTuple):
    """Asks for the server's parameters, newer than *since* in every shard.

    Without *wait* it starts fetching, and takes what earlier fetches have brought.
    """

    since: Versions | None = None
    wait: bool = True


class Push(NamedTuple):
    """Sends a gradient, or something shaped like one, measured at *versions*."""

    vector: Tensor
    versions: Versions
    weight: float = 1.0


Request = Gradient | Pull | Push
Script = Generator[Request, Any, None]


@dataclass(frozen=True)
class Seat:
    """What a worker knows of its surroundings: the how-manieth it is, of how many, counted from 0.

    *gradients* are those that all workers measure together, on *shards* shards.
    """

    rank: int
    workers: int
    gradients: int
    layout: Layout
    shards: int = 1


class Algorithm(ABC):
    """Who computes what, and what the server makes of it.

    Where pushes are not ``compressible``, they have to arrive as they were sent.
    """

    compressible: ClassVar[bool] = True

    @abstractmethod
    def serving(self, workers: int) -> Serving:
        """Return what the server does for so many workers; raise for settings it cannot use."""

    @abstractmethod
    def script(self, seat: Seat) -> Script:
        """Return what the worker on a seat does, from its first pull to its last push."""


def check_algorithm(algorithm: Any) -> None:
    """Raise BadType for what is no algorithm."""
    if not isinstance(algorithm, Algorithm):
        raise BadType(f"algorithm={algorithm!r}; expected one such as Downpour('adagrad', lr=0.1).")


def found_rule(rule: str | Rule) -> Rule:
    """Return a rule given by itself or by name."""
    if isinstance(rule, str):
        return rules.find(rule)
    if not isinstance(rule, Rule):
        raise BadType(f"rule={rule!r}; expected a Rule, a chain, or a name such as 'adagrad'.")
    return rule


def settings_of(rule: Rule, lr: Any, hyper: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the hyperparameters that an optimizer of *rule* is to be given."""
    if not isinstance(hyper, Mapping | None):
        raise BadType(f"hyper={hyper!r}; expected names and values, such as {{'eps': 1e-6}}.")
    if lr is None and "lr" in rule.hyperparameters:
        lr = rule.hyperparameters["lr"].default
    return {**({} if lr is None else {"lr": lr}), **(hyper or {})}


def after_updates(count: int, shards: int) -> Versions | None:
    """Return what to pull since in order to wait for so many updates in every shard."""
    return [Version(0, count - 1)] * shards if count else None


__all__ = [
    "Algorithm", "Gradient", "Measured", "Pull", "Push", "Reading", "Request", "Script", "Seat",
    "after_updates", "check_algorithm", "found_rule", "settings_of",
]  # fmt: skip
