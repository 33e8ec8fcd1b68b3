"""What a training leaves behind: one line for every epoch, and why it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn


class Epoch(NamedTuple):
    """One pass over the training set; losses are means over examples, None where not measured.

    ``running_loss`` is the mean of the mini-batch losses while the weights were changing,
    ``train_loss`` that of a fixed subset of the training set after the last update of the epoch.
    ``updates`` and ``examples`` count from the beginning of the training. ``seconds`` are those of
    the updates of this epoch alone.
    """

    number: int
    updates: int
    examples: int
    running_loss: float
    train_loss: float | None
    valid_loss: float | None
    valid_accuracy: float | None
    seconds: float

    @property
    def judged(self) -> float:
        """The loss that tells better from worse: on the validation set where there is one."""
        found = (self.valid_loss, self.train_loss, self.running_loss)
        return next(loss for loss in found if loss is not None)


@dataclass(frozen=True, eq=False)
class Result:
    """A training that has ended: its model, its history, and why it ended, in words."""

    model: nn.Module
    history: tuple[Epoch, ...]
    stopped: str
    diverged: bool = False
