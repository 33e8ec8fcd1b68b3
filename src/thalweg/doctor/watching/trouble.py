"""The first number that is not finite: in which update, in what, and which module made it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor.evidence import NonFinite, Step
from thalweg.doctor.watching.calls import Number
from thalweg.doctor.watching.features import tensors_in
from thalweg.doctor.watching.hearing import our_own
from thalweg.doctor.watching.passes import Pass

FEW = 32
"""So many numbers are added up sooner by Python than by torch."""


class Trouble:
    """Looks at each loss, and at one small gradient before each step, until one is not finite.

    A gradient that is not finite spreads from where it arises to everything before it, so that of
    the first parameter tells of all. Where numbers are on an accelerator nothing waits for them:
    they are looked at in probes and at the end. ``found`` is the first that was found.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._canary = _small_and_early(model)
        self._few = self._canary is not None and self._canary.ndim == 1 and len(self._canary) <= FEW
        self.found: NonFinite | None = None
        self.before: float | None = None

    def loss(self, step: int, loss: Number, on: Pass) -> None:
        """Look at the loss of update number *step*, of the pass that it was computed on."""
        if self.found is not None or isinstance(loss, Tensor):
            return
        if math.isfinite(loss):
            self.before = loss
        else:
            self.found = blame(self._model, on, step, self.before)

    def gradient(self, step: int) -> None:
        """Look at the gradient that update number *step* is about to follow."""
        if self.found is not None or self._canary is None or (slope := self._canary.grad) is None:
            return
        few = self._few and not slope.is_sparse
        if not math.isfinite(sum(slope.tolist()) if few else slope.sum().item()):
            self.all_gradients(step)

    def all_gradients(self, step: int) -> None:
        """Look at all gradients, and blame that nearest to the loss."""
        named = self._model.named_parameters()
        sick = [name for name, p in named if p.grad is not None and not _finite(p.grad)]
        if sick and self.found is None:
            self.found = _at(self._model, step, "gradient", sick[-1], self.before)

    def end(self, steps: list[Step]) -> NonFinite | None:
        """Return the first number that is not finite, looking at what was not looked at before."""
        if self.found is not None or not steps:
            return self.found
        losses = [each for each in steps if each.loss is not None]
        at = next((k for k, each in enumerate(losses) if not math.isfinite(each.loss or 0.0)), None)
        where = sick_weight(self._model)
        if at is None:
            last = losses[-1].loss if losses else None
            return _at(self._model, steps[-1].number, "weight", where, last) if where else None
        before = losses[at - 1].loss if at else None
        return NonFinite(losses[at].number, "loss", before=before)


def _small_and_early(model: nn.Module) -> nn.Parameter | None:
    """Return the smaller of the first two parameters, on a CPU, where there are any."""
    early = [p for p in model.parameters() if p.requires_grad][:2]
    smallest = min(early, key=lambda p: p.numel(), default=None)
    return smallest if smallest is not None and smallest.device.type == "cpu" else None


def blame(model: nn.Module, on: Pass, step: int, before: float | None) -> NonFinite:
    """Return what made a loss that is not finite, at the weights that it was computed with.

    The pass is repeated for that, its random numbers and buffers put back. A weight that is not
    finite became so in the update before.
    """
    if not all(map(_finite, tensors_in(on.args, on.keywords))):
        return NonFinite(step, "input", before=before)
    if not all(map(_finite, tensors_in(on.rest))):
        return NonFinite(step, "input", "targets", before=before)
    if where := sick_weight(model):
        return _at(model, max(1, step - 1), "weight", where, before)
    name = first_sick_module(model, on)
    if name is None:
        return NonFinite(step, "loss", before=before)
    kind = type(model.get_submodule(name)).__name__
    return NonFinite(step, "output", name, kind, before)


def _at(model: nn.Module, step: int, what: str, name: str, before: float | None) -> NonFinite:
    owner = model.get_submodule(name.rpartition(".")[0])
    return NonFinite(step, what, name, type(owner).__name__, before)


def sick_weight(model: nn.Module) -> str:
    """Return the last parameter that is not finite, the nearest to the loss; "" where all are."""
    return next((name for name, p in reversed([*model.named_parameters()]) if not _finite(p)), "")


def first_sick_module(model: nn.Module, on: Pass) -> str | None:
    """Return the innermost module that took finite numbers and returned others, or None."""
    found: list[str] = []

    def look(name: str) -> Any:
        def hook(module: nn.Module, args: Any, keywords: dict[str, Any], output: Any) -> None:
            finite = all(map(_finite, tensors_in(args, keywords)))
            if not found and finite and not all(map(_finite, tensors_in(output))):
                found.append(name)

        return hook

    hooks = [
        module.register_forward_hook(look(name), with_kwargs=True)
        for name, module in model.named_modules()
    ]
    try:
        with our_own(), repeating(model), torch.no_grad(), on.precision():
            model(*on.args, **on.keywords)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


@contextmanager
def repeating(model: nn.Module) -> Iterator[None]:
    """Put buffers and random numbers back after a pass that only looks."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.detach().isfinite().all())
