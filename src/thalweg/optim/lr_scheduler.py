"""A scheduler that sets nothing, for trainers that insist on one."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class FollowLR(LRScheduler):
    """Report the learning rates of *optimizer*, and leave it to the optimizer to set them.

    ``Trainer(..., optimizers=(optimizer, FollowLR(optimizer)))``, where *optimizer* was built with
    schedules in place of numbers. There is no position to save: the optimizer's checkpoint has it.

    Raises TypeError for what is no optimizer.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        for group in optimizer.param_groups:
            del group["initial_lr"]

    def step(self, epoch: int | None = None) -> None:
        """Change nothing."""

    def get_lr(self) -> list[Any]:
        """Return the learning rate of each group: the one that the last update used."""
        return [group["lr"] for group in self.optimizer.param_groups]

    get_last_lr = get_lr

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: a schedule is a function of the updates that the optimizer counts."""
        return {}
