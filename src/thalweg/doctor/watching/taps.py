"""Where the loss is seen: at ``backward``, and at a scaler on the way there.

torch has no hook on either, nor on the averaging of models, so the functions are replaced while any
watch is open, and put back when the last is closed. What they do and return stays the same.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim.swa_utils import AveragedModel

from thalweg.doctor.watching.hearing import level


class Listener(Protocol):
    """What is told of losses; none of its methods may change anything."""

    def fail(self, name: str, error: Exception) -> None:
        """One of the other methods went wrong."""

    def backward_begins(self, loss: Tensor, scale: Any) -> None:
        """A gradient is about to be computed of a loss times *scale*; the loss has its graph."""

    def backward_ended(self, loss: Tensor) -> None:
        """That gradient was computed."""

    def update_skipped(self, optimizer: Any) -> None:
        """A scaler took no step of *optimizer*, for its gradient was not finite."""

    def averaged(self, average: nn.Module, model: nn.Module) -> None:
        """A model was averaged into another."""


_listeners: tuple[tuple[weakref.ref[Listener], int], ...] = ()
"""Who is told, and of what goes on at which level, see `hearing`."""

_originals: dict[str, Callable[..., Any]] = {}
_scaled: list[tuple[Tensor, Tensor, Any]] = []
"""Scaled losses, what they were before, and by what, from ``scale`` until ``backward``."""


def listen(listener: Listener) -> None:
    """Tell *listener* of every loss at this level from now on, as long as it lives."""
    global _listeners
    if not _listeners:
        _replace()
    _listeners = (*_listeners, (weakref.ref(listener, _drop), level()))


def leave(listener: Listener) -> None:
    """Tell *listener* no more; the last to leave puts torch's functions back."""
    for each in [each for each, _ in _listeners if each() is listener]:
        _drop(each)


def _drop(reference: weakref.ref[Listener]) -> None:
    global _listeners
    left = tuple(each for each in _listeners if each[0] is not reference)
    if _listeners and not left:
        _put_back()
    _listeners = left


def _tell(method: str, *values: Any) -> None:
    """Call a method of every listener; what goes wrong there does not reach the training."""
    here = level()
    for reference, at in _listeners:
        if at == here and (each := reference()) is not None:
            try:
                getattr(each, method)(*values)
            except Exception as error:
                each.fail("watching", error)


def _replace() -> None:
    _originals["backward"] = torch.autograd.backward
    _originals["scale"] = GradScaler.scale
    _originals["step"] = GradScaler.step
    _originals["average"] = AveragedModel.update_parameters
    torch.autograd.backward = _backward(torch.autograd.backward)
    GradScaler.scale = _scale(GradScaler.scale)  # type: ignore[method-assign]
    GradScaler.step = _step(GradScaler.step)  # type: ignore[method-assign]
    AveragedModel.update_parameters = _average(AveragedModel.update_parameters)  # type: ignore[method-assign]


def _put_back() -> None:
    torch.autograd.backward = _originals["backward"]
    GradScaler.scale = _originals["scale"]  # type: ignore[method-assign]
    GradScaler.step = _originals["step"]  # type: ignore[method-assign]
    AveragedModel.update_parameters = _originals["average"]  # type: ignore[method-assign]
    _scaled.clear()


def _backward(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def backward(tensors: Any, grad_tensors: Any = None, *args: Any, **keywords: Any) -> None:
        heard, here = [], level()
        if isinstance(tensors, Tensor) and grad_tensors is None and tensors.numel() == 1:
            heard = [each for known, at in _listeners if at == here and (each := known())]
        loss, scale = _unscaled(tensors) if heard and _scaled else (tensors, None)
        for each in heard:
            try:
                each.backward_begins(loss, scale)
            except Exception as error:
                each.fail("watching", error)
        original(tensors, grad_tensors, *args, **keywords)
        for each in heard:
            try:
                each.backward_ended(loss)
            except Exception as error:
                each.fail("watching", error)

    return backward


def _unscaled(loss: Tensor) -> tuple[Tensor, Any]:
    """Return the loss that a scaler scaled to *loss*, or *loss* itself, and the scale."""
    found = next(((before, by) for after, before, by in _scaled if after is loss), (loss, None))
    _scaled.clear()
    return found


def _scale(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def scale(self: GradScaler, outputs: Any) -> Any:
        scaled = original(self, outputs)
        if isinstance(outputs, Tensor) and scaled is not outputs:
            _scaled[:] = [*_scaled[-7:], (scaled, outputs, self._scale)]
        return scaled

    return scale


def _step(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def step(self: GradScaler, optimizer: Any, *args: Any, **keywords: Any) -> Any:
        result = original(self, optimizer, *args, **keywords)
        if self.is_enabled() and _refused(self, optimizer):
            _tell("update_skipped", optimizer)
        return result

    return step


def _refused(scaler: GradScaler, optimizer: Any) -> bool:
    """Whether the scaler found infinities; of a fused step it is known at once on a CPU alone."""
    known = getattr(scaler, "_per_optimizer_states", {}).get(id(optimizer), {})
    found = known.get("found_inf_per_device", {}).values()
    fused = getattr(optimizer, "_step_supports_amp_scaling", False)
    return any(each.item() for each in found if not fused or each.device.type == "cpu")


def _average(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def update_parameters(self: AveragedModel, model: nn.Module) -> None:
        original(self, model)
        _tell("averaged", self, model)

    return update_parameters
