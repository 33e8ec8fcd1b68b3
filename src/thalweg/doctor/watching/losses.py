"""The loss of the next update, gathered from calls of the loss module and of ``backward``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor.evidence import Validation

Number = float | Tensor
"""A number, or a tensor of one number that is fetched later, to wait for no device."""


def number_of(tensor: Tensor) -> Number:
    """Return a tensor's one number where that costs no waiting, the tensor cut loose elsewhere."""
    return tensor.item() if tensor.device.type == "cpu" else tensor.detach()


class Losses:
    """What was seen since the last update, and the passes over held-out data before it.

    *calls* are what the loss module returned and ``backward`` has not been called on yet.
    """

    def __init__(self) -> None:
        self.total: Number = 0.0
        self.backwards = 0
        self.validations: list[Validation] = []
        self._calls: list[Number] = []
        self._passing: list[tuple[Number, int, Number | None]] = []

    def called(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Take in what the loss module returned: with a gradient to train by, else to validate."""
        if not isinstance(output, Tensor) or output.numel() != 1:
            return
        if output.requires_grad:
            self._calls.append(number_of(output))
        else:
            self._passing.append((number_of(output), *_right(args)))

    def backward_called(self, loss: Tensor) -> None:
        """Take in a loss whose gradient is about to be computed."""
        self.total = self.total + (sum(self._calls) if self._calls else number_of(loss))
        self.backwards += 1
        self._calls.clear()

    def taken(self, updates: int) -> tuple[Number | None, int]:
        """Return the loss of the update that was taken and its backwards, and begin anew."""
        self.end_pass(updates)
        loss, backwards = self.total if self.backwards else None, self.backwards
        self.total, self.backwards = 0.0, 0
        return loss, backwards

    def end_pass(self, updates: int) -> None:
        """Sum up the pass over held-out data that lies behind, if there was one."""
        self._calls.clear()
        if self._passing:
            losses, examples, right = zip(*self._passing, strict=True)
            self._passing.clear()
            weights = [max(each, 1) for each in examples]
            mean = sum(float(a) * b for a, b in zip(losses, weights, strict=True)) / sum(weights)
            known = sum(examples) and all(each is not None for each in right)
            accuracy = sum(map(float, right)) / sum(examples) if known else None
            self.validations.append(Validation(updates, mean, sum(examples) or None, accuracy))


def _right(args: tuple[Any, ...]) -> tuple[int, Number | None]:
    """Return how many examples a call of the loss is about, and how many classes were right."""
    if len(args) < 2 or not all(isinstance(each, Tensor) for each in args[:2]):
        return 0, None
    scores, targets = args[:2]
    if scores.ndim != 2 or targets.ndim != 1 or targets.is_floating_point():
        return len(scores) if scores.ndim else 0, None
    with torch.no_grad():
        return len(scores), number_of((scores.argmax(1) == targets).sum())
