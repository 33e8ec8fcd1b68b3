"""Where the loss is seen: at ``backward``, and at a scaler on the way there.

torch has no hook on either, so the functions are replaced while any watch is open, and put back
when the last is closed. What they do and return stays the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.amp import GradScaler


class Listener(Protocol):
    """What is told of losses; each of its methods must neither raise nor change anything."""

    def backward_called(self, loss: Tensor) -> None:
        """A gradient is about to be computed of a number, unscaled."""

    def update_skipped(self, optimizer: Any) -> None:
        """A scaler took no step of *optimizer*, for its gradient was not finite."""


_listeners: list[Listener] = []
_originals: dict[str, Callable[..., Any]] = {}
_scaled: list[tuple[Tensor, Tensor]] = []
"""Scaled losses and what they were before, from ``scale`` until ``backward``."""


def listen(listener: Listener) -> None:
    """Tell *listener* of every loss from now on."""
    if not _listeners:
        _replace()
    _listeners.append(listener)


def leave(listener: Listener) -> None:
    """Tell *listener* no more; the last to leave puts torch's functions back."""
    if listener in _listeners:
        _listeners.remove(listener)
        if not _listeners:
            _put_back()


def _replace() -> None:
    _originals["backward"] = torch.autograd.backward
    _originals["scale"] = GradScaler.scale
    _originals["step"] = GradScaler.step
    torch.autograd.backward = _backward(torch.autograd.backward)
    GradScaler.scale = _scale(GradScaler.scale)  # type: ignore[method-assign]
    GradScaler.step = _step(GradScaler.step)  # type: ignore[method-assign]


def _put_back() -> None:
    torch.autograd.backward = _originals["backward"]
    GradScaler.scale = _originals["scale"]  # type: ignore[method-assign]
    GradScaler.step = _originals["step"]  # type: ignore[method-assign]
    _scaled.clear()


def _backward(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def backward(tensors: Any, grad_tensors: Any = None, *args: Any, **keywords: Any) -> None:
        if isinstance(tensors, Tensor) and grad_tensors is None and tensors.numel() == 1:
            loss = _unscaled(tensors).detach()
            for each in tuple(_listeners):
                each.backward_called(loss)
        original(tensors, grad_tensors, *args, **keywords)

    return backward


def _unscaled(loss: Tensor) -> Tensor:
    """Return the loss that a scaler scaled to *loss*, or *loss* itself."""
    found = next((before for after, before in _scaled if after is loss), loss)
    _scaled.clear()
    return found


def _scale(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def scale(self: GradScaler, outputs: Any) -> Any:
        scaled = original(self, outputs)
        if isinstance(outputs, Tensor) and scaled is not outputs:
            _scaled[:] = [*_scaled[-7:], (scaled, outputs.detach())]
        return scaled

    return scale


def _step(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def step(self: GradScaler, optimizer: Any, *args: Any, **keywords: Any) -> Any:
        result = original(self, optimizer, *args, **keywords)
        if self.is_enabled() and _refused(self, optimizer):
            for each in tuple(_listeners):
                each.update_skipped(optimizer)
        return result

    return step


def _refused(scaler: GradScaler, optimizer: Any) -> bool:
    """Whether the scaler found infinities; of a fused step it is known at once on a CPU alone."""
    found = scaler._per_optimizer_states[id(optimizer)]["found_inf_per_device"].values()
    fused = getattr(optimizer, "_step_supports_amp_scaling", False)
    return any(each.item() for each in found if not fused or each.device.type == "cpu")
