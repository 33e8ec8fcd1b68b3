"""How often a model is right, where the answers are classes."""

from typing import Any


def right_answers(outputs: Any, targets: Any) -> int | None:
    """Count right answers where targets are classes of outputs (..., classes), else None."""
    from torch import Tensor

    if not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)):
        return None
    if targets.is_floating_point() or outputs.shape[:-1] != targets.shape:
        return None
    return int((outputs.argmax(-1) == targets).sum())
