"""Activations that a model calls as functions, seen while a forward pass is looked at."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn, overrides
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
    """From `enter` to `leave` *seen* is told of each activation; results stay the same.

    It is entered in a pass, and its end may never be told: where that was interrupted, the mode
    sees that nothing of it is under way any more, and leaves by itself.
    """

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen
        self._pass: FrameType | None = None

    def enter(self) -> None:
        """Begin, in a hook of the module whose pass it is."""
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame.f_code.co_filename != nn.modules.module.__file__:
            frame = frame.f_back
        self._pass = frame
        self.__enter__()

    def leave(self) -> None:
        """End, wherever it is among other modes."""
        self._pass, above = None, []
        if any(each is self for each in overrides._get_current_function_mode_stack()):
            while (top := overrides._pop_mode()) is not self:
                above.append(top)
            for each in reversed(above):
                overrides._push_mode(each)

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if not self._under_way():
            self._leave_soon()
            return result
        kind = ACTIVATIONS.get(function)
        if kind is None and function in CLAMPS and _rectifies(*args[1:], **(kwargs or {})):
            kind = nn.ReLU
        if kind is not None and isinstance(result, Tensor):
            self._seen(kind, result)
        return result

    def _under_way(self) -> bool:
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame is not self._pass:
            frame = frame.f_back
        return frame is not None

    def _leave_soon(self) -> None:
        """Leave at what Python does next: while a mode is asked, it is not among the others."""
        if sys.getprofile() is None:
            sys.setprofile(self._leave_now)

    def _leave_now(self, *_: Any) -> None:
        if any(each is self for each in overrides._get_current_function_mode_stack()):
            sys.setprofile(None)
            self.leave()


def _rectifies(min: Any = None, max: Any = None, **_: Any) -> bool:
    return isinstance(min, (int, float)) and min == 0 and max is None


def can_be_seen() -> bool:
    """Whether looking would compile nothing anew: a compiled function knows which modes it saw."""
    compiled = sys.modules.get("torch._dynamo.utils")
    return compiled is None or not compiled.counters["frames"]["total"]
