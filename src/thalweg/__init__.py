"""thalweg: an update rule is written once, as the equation in its paper; the rest is derived."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg.doctor import suggest_lr as suggest_lr
    from thalweg.doctor import watch as watch
    from thalweg.optim import Optimizer as Optimizer
    from thalweg.racing import race as race
    from thalweg.rules import chain as chain
    from thalweg.rules import rule as rule
    from thalweg.rules import transform as transform
    from thalweg.training import fit as fit

__version__ = "0.1.0"

_HOMES = {
    "Optimizer": "thalweg.optim",
    "fit": "thalweg.training",
    "race": "thalweg.racing",
    "rule": "thalweg.rules",
    "transform": "thalweg.rules",
    "chain": "thalweg.rules",
    "watch": "thalweg.doctor",
    "suggest_lr": "thalweg.doctor",
}
_ROOMS = (
    "algebra", "doctor", "kernels", "landscape", "optim", "parallel", "problems", "racing",
    "record", "report", "rules", "schedules", "testing", "training",
)  # fmt: skip

__all__ = [*_HOMES, *_ROOMS, "__version__"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that `import thalweg` costs nothing."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"thalweg.{name}")
    raise AttributeError(f"module 'thalweg' has no attribute {name!r}")
