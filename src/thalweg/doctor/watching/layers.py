"""What leaf modules, and activations called as functions, put out in one forward pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor.evidence import ModuleFacts
from thalweg.doctor.watching import measure
from thalweg.doctor.watching.functions import Functions, can_be_seen
from thalweg.doctor.watching.gates import flat_gates, flat_gates_of_cell
from thalweg.doctor.watching.survey import leaves
from thalweg.doctor.watching.timed import Timed

CALLS = 8
"""So many calls of a recurrent cell are looked into in a pass."""


class Layers:
    """Looks at the passes of a model between `arm` and `disarm`, the newest one replacing others.

    ``seen`` has the fields of `LayerProbe` by layer, in the order of the pass, as tensors that are
    still to be fetched; ``active`` the masks of active units of rectifiers, and of how many
    examples; ``functions`` the facts of activations that are no modules. `settle` keeps the pass:
    what comes after it until `begin` is not looked at.
    """

    def __init__(self, model: nn.Module, timed: Timed) -> None:
        self._model, self._timed = model, timed
        self._hooks: list[Any] = []
        self._gradients: list[Any] = []
        self._mode: Functions | None = None
        self._settled = False
        self._latest = ""
        self._result: Tensor | None = None
        self._calls: dict[str, list[Tensor]] = {}
        self.seen: dict[str, dict[str, Any]] = {}
        self.active: dict[str, tuple[Tensor, int]] = {}
        self.functions: dict[str, ModuleFacts] = {}

    @property
    def armed(self) -> bool:
        """Whether passes are looked at."""
        return bool(self._hooks)

    def arm(self) -> None:
        """Look at passes from now on."""
        self._settled = False
        for name, module in leaves(self._model):
            if module._compiled_call_impl is None:
                called = self._timed.quietly(partial(self._called, name))
                self._hooks.append(module.register_forward_hook(called))

    def disarm(self) -> None:
        """Take all hooks away and forget the pass."""
        self.end()
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._forget()

    def begin(self) -> None:
        """A pass of the whole model begins."""
        if self.armed and not self._settled and torch.is_grad_enabled():
            self._forget()
            self.end()
            if can_be_seen():
                self._mode = Functions(self._timed.quietly(self._function_called))
                self._mode.enter()

    def end(self) -> None:
        """The pass is over, whether or not it came to its end."""
        self._result = None
        if self._mode is not None:
            self._mode.leave()
            self._mode = None

    def settle(self) -> None:
        """The pass is one that is trained by; look at no other before the next `arm`."""
        self._settled = True

    def unsettle(self) -> None:
        """The pass came to nothing; the next one takes its place."""
        self._settled = False

    def _forget(self) -> None:
        self._settled, self._latest = False, ""
        for hook in self._gradients:
            hook.remove()
        self._gradients.clear()
        self._calls.clear()
        self.seen.clear()
        self.active.clear()

    def _called(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Look at what a leaf put out; a function it ended with was its own."""
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor):
            return
        if first is self._result:
            self._drop(self._latest)
        looked = self._look(name, type(module), module.training, args, first)
        if looked and isinstance(module, nn.RNNBase):
            self._timed(self._look_into, name, module, args, first)
        elif isinstance(module, nn.RNNCellBase) and torch.is_grad_enabled() and not self._settled:
            self._timed(self._look_into_cell, name, module, args)

    def _look_into(self, name: str, module: nn.RNNBase, args: Any, output: Tensor) -> None:
        if name in self.seen:
            self.seen[name]["saturated"] = flat_gates(module, args, output)

    def _look_into_cell(self, name: str, module: nn.RNNCellBase, args: Any) -> None:
        """Look at the gates of a cell in its first calls; the first of them knows no state yet."""
        found = self._calls.setdefault(name, [])
        if name in self.seen and len(found) < CALLS:
            share = flat_gates_of_cell(module, args)
            if share is not None:
                found.append(share)
                self.seen[name]["saturated"] = torch.stack(found).mean()

    def _function_called(self, kind: type[nn.Module], result: Tensor) -> None:
        name = f"{kind.__name__.lower()}({self._latest})"
        if name not in self.seen and self._look(name, kind, self._model.training, (), result):
            self.functions[name] = ModuleFacts(name, kind.__name__, "activation")
            self._result = result

    def _drop(self, name: str) -> None:
        for store in (self.seen, self.active, self.functions):
            store.pop(name, None)

    def _look(self, name: str, kind: type, training: bool, args: Any, output: Tensor) -> bool:
        wanted = name not in self.seen and output.is_floating_point() and output.numel()
        self._result = None
        if not wanted or self._settled or not torch.is_grad_enabled():
            return False
        self._timed(self._measure, name, kind, training, args, output)
        self._latest = name
        return True

    def _measure(self, name: str, kind: type, training: bool, args: Any, output: Tensor) -> None:
        found = self.seen[name] = measure.layer(kind, training, args, output)
        if issubclass(kind, measure.RECTIFIERS):
            active = measure.active_units(output)
            found["silent"] = (~active).float().mean()
            self.active[name] = active, measure.positions(output)
        if output.requires_grad:
            hook = output.register_hook(partial(_gradient, self._timed, found))
            self._gradients.append(hook)


def _gradient(timed: Timed, found: dict[str, Any], gradient: Tensor) -> None:
    """Measure the gradient with respect to a layer's output, and leave it as it is."""
    found["gradient"] = timed(measure.norm, gradient.detach())
