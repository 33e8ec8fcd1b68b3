"""State that notices when it is changed from outside, so that a step need not look at all of it.

Code may replace an optimizer's state at any time (pruning, surgery on checkpoints). Kernels hold
addresses of that state, so a step must know. Every change to any of these dictionaries advances
one clock; an optimizer that reads the same time as at its last look has nothing to check.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

_CHANGERS = (
    "__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update",
)  # fmt: skip

changes = [0]
"""How many changes all watched dictionaries of this process have seen."""


def _noting(kind: type, name: str) -> Callable:
    original = getattr(kind, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        changes[0] += 1
        return original(self, *args, **kwargs)

    return method


def _watched(kind: type) -> Callable[[type], type]:
    """Make a class note every change that *kind* allows."""

    def decorate(cls: type) -> type:
        for name in _CHANGERS:
            setattr(cls, name, _noting(kind, name))
        return cls

    return decorate


@_watched(dict)
class ParameterState(dict):
    """The state of one parameter: tensors by name."""


@_watched(defaultdict)
class OptimizerState(defaultdict):
    """The state of an optimizer: a `ParameterState` for each parameter."""


def watched(entries: dict[Any, Any]) -> OptimizerState:
    """Return *entries*, dictionaries by parameter, as watched state."""
    return OptimizerState(
        ParameterState,
        {k: ParameterState(v) if isinstance(v, dict) else v for k, v in entries.items()},
    )


def unwatched(value: Any) -> Any:
    """Return one parameter's state as an ordinary dictionary."""
    return dict(value) if isinstance(value, ParameterState) else value
