"""Whether a ``backward`` reached an optimizer's parameters, told by as few of them as can tell."""

from __future__ import annotations

import torch
from torch import Tensor

Mark = tuple[int, int] | None
"""Which tensor a gradient is and how often it was written to; None where there is none."""

STREAK = 32
"""A parameter that was the first to be reached so many times in a row tells of all others."""


class Reach:
    """Compares gradients before and after a ``backward``.

    All parameters are looked at until one of them has told often enough; it is looked at alone
    then, so that a model of many tensors costs no more than one of few. Should it not be reached
    after that, all are looked at for good. ``cleared`` says that there was no gradient before.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._first: Tensor | None = None
        self._times = 0
        self._all = False
        self._held: list[Tensor] = []
        self._marks: list[Mark] = []
        self.cleared = True

    def begin(self) -> None:
        """Note what changes when a gradient is added to."""
        if self._times < STREAK or self._first is None:
            self._held = [p for group in self._optimizer.param_groups for p in group["params"]]
            self._marks = [_mark(p.grad) for p in self._held]
            self.cleared = not any(self._marks)
            return
        slope = self._first.grad
        self.cleared = slope is None
        self._marks = [None if slope is None else (id(slope), slope._version)]

    def reached(self) -> bool:
        """Whether a gradient has changed since."""
        if self._times < STREAK or self._first is None:
            return self._search()
        slope = self._first.grad
        if slope is not None and self._marks[0] != (id(slope), slope._version):
            return True
        self._all, self._times = True, 0
        return False

    def _search(self) -> bool:
        pairs = zip(self._held, self._marks, strict=True)
        found = next((p for p, mark in pairs if p.grad is not None and mark != _mark(p.grad)), None)
        again = found is not None and found is self._first and not self._all
        self._first, self._times = found, self._times + 1 if again else 0
        return found is not None


def _mark(slope: Tensor | None) -> Mark:
    return None if slope is None else (id(slope), slope._version)
