"""Lower the learning rate when the loss no longer falls: feedback, and no schedule.

A schedule knows every rate before the run; this one looks at the run. torch's own
``ReduceLROnPlateau`` decides, and checkpoints hold what it remembers.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadValue
from thalweg.optim.driver import Driver
from thalweg.training.history import Epoch
from thalweg.training.strategies.strategy import Strategy
from thalweg.training.training import Training


class ReduceOnPlateau(Strategy):
    """Multiply the learning rates by *factor* after more than *patience* epochs without progress.

    Progress is a loss, on the validation set where there is one, below the lowest so far by the
    share *threshold* of it ("rel") or by *threshold* itself ("abs"). The *cooldown* epochs after a
    reduction do not count. No rate goes below *min_lr*. All as in torch; the model, the optimizer
    and what it accumulated stay as they are.

    Raises BadValue where a learning rate follows a schedule.
    """

    def __init__(
        self, factor: float = 0.1, patience: int = 10, min_lr: float = 0.0, *,
        threshold: float = 1e-4, threshold_mode: Literal["rel", "abs"] = "rel", cooldown: int = 0,
    ) -> None:  # fmt: skip
        check_number("factor", factor, math.ulp(0.0), 1)
        for name, value in (("min_lr", min_lr), ("threshold", threshold)):
            check_number(name, value, 0)
        for name, value in (("patience", patience), ("cooldown", cooldown)):
            check_count(name, value, 0)
        if threshold_mode not in ("rel", "abs"):
            raise BadValue(f"threshold_mode={threshold_mode!r}; expected 'rel' or 'abs'.")
        self.settings: dict[str, Any] = {
            "factor": factor, "patience": patience, "min_lr": min_lr, "threshold": threshold,
            "threshold_mode": threshold_mode, "cooldown": cooldown,
        }  # fmt: skip

    def begin(self, training: Training) -> None:
        """Forget any training before; learning rates must be plain numbers."""
        _check_plain(training.optimizer)
        self._torch = ReduceLROnPlateau(training.optimizer, **self.settings)

    def after_epoch(self, training: Training, epoch: Epoch) -> None:
        """Look at the loss, and lower the learning rates where it is time."""
        self._torch.step(epoch.judged)

    def state(self) -> dict[str, Any]:
        """Return what torch's scheduler remembers."""
        return self._torch.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; the optimizer brings the learning rates itself."""
        self._torch.load_state_dict(state)


def _check_plain(optimizer: torch.optim.Optimizer) -> None:
    for number, _ in enumerate(optimizer.param_groups):
        if isinstance(optimizer, Driver) and optimizer.schedule_of("lr", number) is not None:
            raise BadValue(
                f"the lr of group {number} follows a schedule, which says itself when it falls. "
                "Give the optimizer a number, or leave ReduceOnPlateau out."
            )
