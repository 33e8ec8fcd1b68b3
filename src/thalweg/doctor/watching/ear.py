"""The calls of a loss: a module's by a hook on it, a plain function's while it is awaited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor.evidence import FailedProbe
from thalweg.doctor.watching.awaited import Awaited
from thalweg.doctor.watching.calls import call_of
from thalweg.doctor.watching.hooks import WeakHook
from thalweg.doctor.watching.losses import Losses, number_of
from thalweg.doctor.watching.passes import Passes
from thalweg.training.evaluation import not_validating


class Ear:
    """Tells *losses* of the calls of *loss_fn* on what *passes* of *model* come to.

    Those without a gradient to train by validate. A plain function is heard from `begin` to `end`,
    and shortly after a pass without a gradient. ``closely`` says that it is also looked at how
    scores follow from the output. What goes wrong is put into *failed*.
    """

    def __init__(
        self, model: nn.Module, loss_fn: Callable[..., Any] | None, passes: Passes, losses: Losses,
        failed: dict[str, FailedProbe],
    ) -> None:  # fmt: skip
        self.model, self.loss_fn, self.passes, self.losses = model, loss_fn, passes, losses
        self.closely = False
        self._failed = failed
        self._names = _names(loss_fn.forward) if isinstance(loss_fn, nn.Module) else ()
        plain = loss_fn if not isinstance(loss_fn, nn.Module) else None
        self._awaited = Awaited(plain, WeakHook(self._after_function)) if plain else None
        self._evaluating: Any = None

    def fail(self, name: str, error: Exception) -> None:
        """Take in that something went wrong; the training goes on."""
        self._failed.setdefault(name, FailedProbe.of(name, error))

    def attach(self) -> list[Any]:
        """Hear a module from now on; return what ends that."""
        if not isinstance(self.loss_fn, nn.Module):
            return []
        hook = WeakHook(self._after_loss)
        return [self.loss_fn.register_forward_hook(hook, with_kwargs=True)]

    def begin(self) -> None:
        """Await a plain function."""
        if self._awaited:
            self._awaited.begin()

    def end(self) -> None:
        """Await it no longer."""
        if self._awaited:
            self._awaited.end()

    # Without a gradient.

    def evaluation_begins(self) -> None:
        """See what the model is about to return without a gradient: a loss may be called on it."""
        if self.loss_fn is None or not_validating.get():
            return
        self.passes.evaluated = None
        if self._awaited:
            self._awaited.end_briefly()
        if self._evaluating is None:
            ends = WeakHook(self._after_evaluation)
            self._evaluating = self.model.register_forward_hook(ends)

    def _after_evaluation(self, module: nn.Module, args: Any, output: Any) -> None:
        if module is not self.model:
            return
        self._evaluating.remove()
        self._evaluating = None
        if not torch.is_grad_enabled():
            self.passes.evaluated = output
            if self._awaited:
                self._awaited.begin_briefly()

    # What was called.

    def _after_loss(self, module: nn.Module, args: Any, keywords: Any, output: Any) -> None:
        if not_validating.get():
            return
        values = (*args, *self._in_order(keywords)) if keywords else args
        tells = isinstance(output, Tensor)
        if output.requires_grad if tells else torch.is_grad_enabled():
            self._called(values, output, tells and output.numel() == 1)
        elif self.passes.evaluates(values[0] if values else None, sure=False):
            self.losses.tried(type(module).__name__, values, output, self.passes.training)

    def _in_order(self, keywords: dict[str, Any]) -> Iterator[Any]:
        """Return arguments of the loss by name in the order in which it takes them."""
        known = [name for name in self._names if name in keywords]
        return map(keywords.__getitem__, dict.fromkeys((*known, *keywords)))

    def _after_function(self, values: tuple[Any, ...], output: Tensor) -> None:
        """The loss, a plain function, was heard to be called, as it is at times alone."""
        if not_validating.get() or not values or self._awaited is None:
            return
        if output.requires_grad:
            self._awaited.found()
            self._called(values, output, counts=False)
        elif self.passes.evaluated is not None and self.passes.evaluates(values[0], sure=True):
            self._awaited.found()
            self.losses.tried(type(self.loss_fn).__name__, values, output, self.passes.training)

    def _called(self, values: tuple[Any, ...], output: Any, counts: bool) -> None:
        """The loss was called with a gradient to train by; whether it *counts* as a number."""
        looked = self.passes.look(values[0]) if values and self.closely else None
        number = number_of(output) if counts else None
        self.losses.called(call_of(number, values, output, self.passes.current, looked))


def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of what a function takes, none where they cannot be told."""
    try:
        return tuple(signature(function).parameters)
    except (TypeError, ValueError):
        return ()
