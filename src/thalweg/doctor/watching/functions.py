"""Activations that a model calls as functions, seen while a forward pass is looked at."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Seen = Callable[[type[nn.Module], Tensor], None]
"""What is told of an activation: the class of module it stands for, and what it returned."""

ACTIVATIONS: Mapping[Callable[..., Any], type[nn.Module]] = {
    **dict.fromkeys((F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), nn.ReLU),
    **dict.fromkeys((torch.tanh, torch.tanh_, Tensor.tanh, Tensor.tanh_, F.tanh), nn.Tanh),
    **dict.fromkeys(
        (torch.sigmoid, torch.sigmoid_, Tensor.sigmoid, Tensor.sigmoid_, F.sigmoid), nn.Sigmoid
    ),
    F.relu6: nn.ReLU6,
    F.hardtanh: nn.Hardtanh,
    F.hardsigmoid: nn.Hardsigmoid,
    F.threshold: nn.Threshold,
    F.softsign: nn.Softsign,
    F.leaky_relu: nn.LeakyReLU,
    F.elu: nn.ELU,
    F.selu: nn.SELU,
    F.gelu: nn.GELU,
    F.silu: nn.SiLU,
    F.mish: nn.Mish,
    F.softplus: nn.Softplus,
}

CLAMPS = {torch.clamp, torch.clamp_min, Tensor.clamp, Tensor.clamp_, Tensor.clamp_min}
"""Functions that are a rectifier where they cut at zero from below, and nowhere else."""


class Functions(TorchFunctionMode):
    """While this mode is entered, *seen* is told of each activation; results stay the same."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        kind = ACTIVATIONS.get(function)
        if kind is None and function in CLAMPS and _rectifies(*args[1:], **(kwargs or {})):
            kind = nn.ReLU
        if kind is not None and isinstance(result, Tensor):
            self._seen(kind, result)
        return result


def _rectifies(min: Any = None, max: Any = None, **_: Any) -> bool:
    return isinstance(min, (int, float)) and min == 0 and max is None


def can_be_seen(model: nn.Module) -> bool:
    """Whether looking would compile nothing anew: a compiled function knows which modes it saw."""
    compiled = sys.modules.get("torch._dynamo.utils")
    return compiled is None or not compiled.counters["frames"]["total"]
