"""Targets and scores as a loss was called on them, or as the graph behind it keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from thalweg.doctor.evidence import LabelBatch
from thalweg.doctor.watching.calls import Call

MOST = 4096
"""So many targets of a batch are kept at most, evenly spread over it."""

DEEP = 50
"""So many nodes of a graph are looked at for saved targets."""

BINARY = ("BCE", "BinaryCrossEntropy")
"""Losses of these names take scores of two classes, and targets of the same shape."""


def label_batch(step: int, targets: Any, kind: str = "") -> LabelBatch | None:
    """Return the classes or values in *targets*, those of a loss called *kind*; None for others."""
    if not isinstance(targets, Tensor) or not targets.numel() or targets.is_complex():
        return None
    flat = _classes(targets, kind)
    if flat is None:
        return LabelBatch(step, values=_kept(targets.detach().reshape(-1)))
    return LabelBatch(step, classes=_kept(flat[flat >= 0]))


def of_calls(calls: Sequence[Call]) -> Any:
    """Return the targets of all calls that one loss is made of, the newest where they differ."""
    found = [call.rest[0] for call in calls if call.rest]
    alike = all(isinstance(each, Tensor) and each.ndim for each in found)
    if len(found) > 1 and alike and len({each.shape[1:] for each in found}) == 1:
        return torch.cat(found)
    return found[-1] if found else None


def _kept(flat: Tensor) -> tuple[Any, ...]:
    return tuple(flat[:: max(1, -(-len(flat) // MOST))].tolist())


def _classes(targets: Tensor, kind: str) -> Tensor | None:
    """Return flat classes, negative ones to be ignored; None for values of a regression."""
    if not targets.is_floating_point():
        return targets.detach().reshape(-1).long()
    if kind.startswith("CrossEntropy") and targets.ndim > 1:
        return targets.detach().argmax(1).reshape(-1)
    if kind.startswith(BINARY) and targets.numel() == len(targets):
        return (targets.detach().reshape(-1) > 0.5).long()
    return None


def right(scores: Any, targets: Any, kind: str = "") -> tuple[int, Tensor | None]:
    """Return how many examples there are, and how many of them are given their class if known."""
    if not isinstance(scores, Tensor) or not isinstance(targets, Tensor) or not scores.ndim:
        return 0, None
    with torch.no_grad():
        if kind.startswith(BINARY):
            return _right_of_two(scores, targets, kind)
        dimension = _class_dimension(scores, targets)
        if dimension is None or targets.is_floating_point():
            return len(scores), None
        counted = targets >= 0
        found = (scores.argmax(dimension) == targets) & counted
        return targets.numel(), found.sum() * targets.numel() / counted.sum().clamp(min=1)


def _class_dimension(scores: Tensor, targets: Tensor) -> int | None:
    """Return which dimension of scores counts classes: the second, as in torch, or the last."""
    if not targets.ndim:
        return None
    if (scores.shape[:1] + scores.shape[2:]) == targets.shape:
        return 1
    return -1 if scores.shape[:-1] == targets.shape else None


def _right_of_two(scores: Tensor, targets: Tensor, kind: str) -> tuple[int, Tensor | None]:
    if scores.shape != targets.shape:
        return len(scores), None
    edge = 0.0 if "Logits" in kind else 0.5
    return targets.numel(), ((scores > edge) == (targets > 0.5)).sum()


def saved(loss: Tensor) -> tuple[Tensor | None, Tensor | None, str]:
    """Return scores and targets that the graph behind a loss keeps, and what keeps them.

    They are those of the loss function nearest to its end, such as a negative log likelihood.
    """
    queue, seen = [loss.grad_fn], 0
    while queue and seen < DEEP:
        node: Any = queue.pop(0)
        seen += 1
        if hasattr(node, "_saved_target"):
            return node._saved_self, node._saved_target, type(node).__name__
        queue += [parent for parent, _ in getattr(node, "next_functions", ()) if parent]
    return None, None, ""
