"""Early stopping: end when the validation loss no longer falls, and go back to where it was lowest.

The oldest regularizer of all: the number of updates is chosen on data that are not trained on.
"""

from __future__ import annotations

import math
from typing import Any

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadValue
from thalweg.training.history import Epoch
from thalweg.training.strategies.strategy import Strategy
from thalweg.training.training import Training
from thalweg.training.weights import Weights, copy_of


class EarlyStopping(Strategy):
    """Stop after *patience* epochs in a row in which the validation loss made no progress.

    Progress is to fall by more than *min_delta*, in the unit of the loss, below where it last made
    progress. With *restore_best* the model ends with the weights and buffers it had after the epoch
    of the lowest validation loss; ``best`` is that epoch, also where smaller steps than *min_delta*
    led to it. A training that ends for another reason is taken back to it as well.

    Raises BadValue where the training has no validation set.
    """

    def __init__(
        self, patience: int = 5, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        check_count("patience", patience)
        check_number("min_delta", min_delta, 0)
        self.patience, self.min_delta, self.restore_best = patience, min_delta, restore_best
        self.best: Epoch | None = None

    def begin(self, training: Training) -> None:
        """Forget any training before; there must be a validation set."""
        if training.valid is None:
            raise BadValue("EarlyStopping needs a validation set: fit(..., valid=...).")
        self.best, self.weights = None, Weights()
        self.reference, self.waited = math.inf, 0

    def after_epoch(self, training: Training, epoch: Epoch) -> str | None:
        """Keep the weights if they are the best so far; say so when patience is at its end."""
        if self.best is None or epoch.judged < self.best.judged:
            self.best = epoch
            self.weights = copy_of(training.model) if self.restore_best else {}
        if epoch.judged < self.reference - self.min_delta:
            self.reference, self.waited = epoch.judged, 0
            return None
        self.waited += 1
        if self.waited < self.patience:
            return None
        return (
            f"the validation loss made no progress in {self.patience} epochs; it was lowest, "
            f"{self.best.judged:.4g}, after epoch {self.best.number}"
        )

    def end(self, training: Training) -> None:
        """Put the best weights back."""
        if self.weights:
            training.model.load_state_dict(self.weights)

    def state(self) -> dict[str, Any]:
        """Return the best weights, their epoch, and how long it has been waited."""
        best = self.best and tuple(self.best)
        return {
            "best": best, "weights": self.weights, "reference": self.reference,
            "waited": self.waited,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.best = None if state["best"] is None else Epoch(*state["best"])
        self.weights, self.reference = state["weights"], state["reference"]
        self.waited = state["waited"]
