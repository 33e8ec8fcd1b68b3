"""Whether a ``backward`` reached an optimizer's parameters, told by as few of them as can tell."""

from __future__ import annotations

import torch
from torch import Tensor

Mark = tuple[int, int] | None
"""Which tensor a gradient is and how often it was written to; None where there is none."""


class Reach:
    """Compares gradients before and after a ``backward``.

    The first parameter that was reached is looked at alone from then on: a model of many tensors
    costs no more than one of few. When it is not reached once, all are looked at for good, as
    there may be several losses then, or several models, that take turns.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._witness: Tensor | None = None
        self._held: list[Tensor] = []
        self._all = False
        self._marks: list[Mark] = []
        self._mark: Mark = None

    def begin(self) -> None:
        """Note what changes when a gradient is added to."""
        if self._witness is not None:
            slope = self._witness.grad
            self._mark = None if slope is None else (id(slope), slope._version)
        else:
            self._held = [p for group in self._optimizer.param_groups for p in group["params"]]
            self._marks = [_mark(p.grad) for p in self._held]

    def reached(self) -> bool:
        """Whether a gradient has changed since."""
        if self._witness is not None:
            slope = self._witness.grad
            if slope is not None and self._mark != (id(slope), slope._version):
                return True
            self._witness, self._all = None, True
            return False
        for p, mark in zip(self._held, self._marks, strict=True):
            if p.grad is not None and mark != _mark(p.grad):
                self._witness = None if self._all else p
                return True
        return False


def _mark(slope: Tensor | None) -> Mark:
    return None if slope is None else (id(slope), slope._version)
