"""What a parallel training leaves behind: the model, how it went, and what became of messages."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

from torch import nn

from thalweg.parallel.engine import Tally


class Point(NamedTuple):
    """Where a training stood: after so many gradients of all workers together.

    ``time`` is the engine's, virtual where it simulates. ``running_loss`` is the mean of the
    batches since the point before; the others are of the server's parameters on the validation set,
    None where there is none.
    """

    gradients: int
    examples: int
    updates: int
    time: float
    running_loss: float
    valid_loss: float | None
    valid_accuracy: float | None

    @property
    def judged(self) -> float:
        """The loss that tells better from worse: on the validation set where there is one."""
        return self.running_loss if self.valid_loss is None else self.valid_loss


class RunningLoss(NamedTuple):
    """The mean loss of some batches, those after the one before it, at a time."""

    gradients: int
    examples: int
    time: float
    loss: float


@dataclass(frozen=True, eq=False)
class Result:
    """A parallel training that has ended.

    ``history`` has the looks at the server's parameters, ``losses`` the running loss in between.
    The first batch was dealt out at ``began``.
    """

    model: nn.Module
    history: tuple[Point, ...]
    losses: tuple[RunningLoss, ...]
    tally: Tally
    began: float = 0.0

    @property
    def diverged(self) -> bool:
        """Whether the loss at the end is not a finite number."""
        return bool(self.history) and not isfinite(self.history[-1].judged)


class Interrupted(KeyboardInterrupt):
    """A training stopped by ``signal``; ``result`` is what it had come to."""

    def __init__(self, message: str, signal: int, result: Any) -> None:
        super().__init__(message)
        self.signal, self.result = signal, result
