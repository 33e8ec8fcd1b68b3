"""A strategy watches a training and acts on it: after every update, after every epoch, at the end.

Early stopping, averages, snapshots and feedback on the learning rate are strategies.
"""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg.training.history import Epoch
    from thalweg.training.training import Training


class Strategy(ABC):
    """What may act on a training; a subclass says at which moments.

    Whatever changes while it acts belongs into `state`, which checkpoints hold: nested dicts, lists
    and tuples of tensors, numbers, strings and None.
    """

    def begin(self, training: Training) -> None:
        """Look at the training before its first update; raise here what cannot work."""

    def after_update(self, training: Training) -> None:
        """Act after an update; ``training.place.update`` counts it."""

    def after_epoch(self, training: Training, epoch: Epoch) -> str | None:
        """Act after an epoch; return a reason to stop in words, or None to go on."""
        return None

    def end(self, training: Training) -> None:
        """Act once after the last update, when no checkpoint follows any more."""

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned when the checkpoint was written."""

    @classmethod
    def acts_on_updates(cls) -> bool:
        """Whether it has anything to do after an update."""
        return cls.after_update is not Strategy.after_update
