"""A probe looks at everything of first order about one update: layers, gradients, the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor.evidence import ModuleFacts, Probe, Units
from thalweg.doctor.watching import measure
from thalweg.doctor.watching.activity import Activity
from thalweg.doctor.watching.features import Features, tensors_in
from thalweg.doctor.watching.layers import Layers
from thalweg.doctor.watching.reading import read_probe
from thalweg.doctor.watching.targets import right
from thalweg.doctor.watching.timed import Timed

Found = dict[str, dict[str, Any]]


class Prober:
    """Looks at updates of a model; its hooks exist from `arm` until the update is over.

    ``order`` has the layers in the order of the first forward pass that was looked at. What is
    seen is kept as numbers alone: no tensor of a pass outlives its update. ``timed`` has what the
    update that is looked at cost, and what went wrong in it. ``written`` has the parameters that
    something else wrote to between two updates that were looked at. ``pass_seconds`` is what the
    quickest pass took, to be looked at included.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, blind: bool) -> None:
        self._model, self._optimizer, self._blind = model, optimizer, blind
        self.timed = Timed()
        self.layers = Layers(model, self.timed)
        self.features = Features()
        self.functions: dict[str, ModuleFacts] = {}
        self.order: tuple[str, ...] = ()
        self.armed = False
        self.written: set[str] = set()
        self.pass_seconds = math.inf
        self._begun = 0.0
        self._versions: dict[str, int] = {}
        self._parameters: Found = {}
        self._before: dict[str, Tensor] = {}
        self._once: dict[str, Any] = {}
        self._earlier: tuple[int, dict[str, Tensor]] = (-1, {})
        self._activity: dict[str, Activity] = {}

    def arm(self) -> None:
        """Look at the next forward pass and the update after it."""
        self.armed = True
        self.timed.begin()
        if not self._blind:
            self.layers.arm()

    def disarm(self) -> None:
        """Take all hooks away and forget what belongs to one update."""
        self.armed = False
        self.layers.disarm()
        for store in (self._parameters, self._before, self._once):
            store.clear()

    def rest(self) -> None:
        """The next update is not looked at: let the gradient go that was kept for it."""
        self._versions.clear()
        if self._earlier[1]:
            self._earlier = -1, {}

    def begin_pass(self, arguments: Any) -> None:
        """A pass of the model that can be trained by begins."""
        self.layers.begin()
        self._once.pop("accuracy", None)
        self.timed(self.features.add, tensors_in(arguments))
        self._begun = perf_counter()

    def end_pass(self) -> None:
        """The pass is over, whether or not it came to its end."""
        self.layers.end()
        if self._begun:
            self.pass_seconds = min(self.pass_seconds, perf_counter() - self._begun)
            self._begun = 0.0

    def look_at_accuracy(self, scores: Any, classes: Any, kind: str) -> None:
        """Look at how many examples of a batch are given their class."""
        count, correct = self.timed(right, scores, classes, kind) or (0, None)
        if correct is not None:
            self._once.setdefault("accuracy", correct / max(count, 1))

    def before_backward(self, scale: Any, first: bool) -> None:
        """Look at the gradients that are there already; that of the loss is scaled by *scale*.

        It is the *first* while none since the last update was one of this model.
        """
        left, before = self.timed(_norm, self._optimizer), self._once.get("leftover")
        self._once["leftover"] = left if before is None else _smaller(left, before)
        if first:
            self._once["scale"] = scale

    def again(self) -> None:
        """The update that was looked at was not taken; look at the next."""
        self._once.clear()
        self.layers.unsettle()

    def before_step(self, closing: bool) -> None:
        """Look at weights and, unless a closure is to compute them, at gradients."""
        self.timed(self._look_for_writers)
        self.timed(self._look_at_weights)
        if not closing:
            self.timed(self._look_at_gradients)

    def _look_for_writers(self) -> None:
        """Take in which parameters changed since the update before, if that was looked at."""
        for name, tensor in self._model.named_parameters():
            if self._versions.get(name, tensor._version) != tensor._version:
                self.written.add(name)

    def _look_at_weights(self) -> None:
        for name, tensor in self._model.named_parameters():
            self._parameters[name] = measure.weight(tensor)
            if tensor.requires_grad:
                self._before[name] = tensor.detach().clone()

    def _look_at_gradients(self) -> None:
        for name, tensor in self._model.named_parameters():
            if tensor.grad is not None:
                self._parameters[name] |= measure.gradient(tensor.grad)

    def after_step(self, step: int) -> Probe | None:
        """Look at what the step did, and return all that was seen; None where the probe failed."""
        return self.timed(self._look_at_step, step)

    def _look_at_step(self, step: int) -> Probe:
        for name, tensor in self._model.named_parameters():
            found = self._parameters.setdefault(name, {})
            if tensor.grad is not None and "gradient" not in found:
                found |= measure.gradient(tensor.grad)
            if name in self._before and tensor.grad is not None:
                found |= measure.update(tensor, self._before[name])
                found |= self._underflow(tensor)
            if (rows := measure.distinct_rows(tensor)) is not None:
                found["rows"], found["distinct"] = rows
        self._compare(step)
        return self._finished(step)

    def _compare(self, step: int) -> None:
        """Take the cosine between this gradient and the one before, and keep this one."""
        named = self._model.named_parameters()
        now = {
            name: p.grad.detach().clone()
            for name, p in named
            if p.grad is not None and not p.grad.is_sparse
        }
        earlier, before = self._earlier
        if earlier == step - 1 and now.keys() == before.keys() and now:
            self._once["agreement"] = measure.cosine(now, before)
        self._earlier = step, now
        self._versions = {name: p._version for name, p in self._model.named_parameters()}

    def _underflow(self, tensor: Tensor) -> dict[str, Any]:
        """Return the share of √v̂ at or below eps, where the optimizer keeps such a state."""
        state = self._optimizer.state.get(tensor, {})
        groups = self._optimizer.param_groups
        group = next((g for g in groups if any(p is tensor for p in g["params"])), {})
        square = _mean_square(state, group)
        if square is None or "eps" not in group:
            return {}
        return {"below_eps": (square.sqrt() <= group["eps"]).float().mean()}

    def _finished(self, step: int) -> Probe:
        self.functions |= self.layers.functions
        self.order = self.order or tuple(self.layers.seen)
        scale = self._once.pop("scale", None)
        for found in self.layers.seen.values():
            if "gradient" in found and scale is not None:
                found["gradient"] = found["gradient"] / scale
        self.add_activity(self.layers)
        return read_probe(step, self._parameters, self.layers.seen, self._once)

    def add_activity(self, layers: Layers) -> None:
        """Take in which units were active in a pass."""
        for name, (active, examples) in layers.active.items():
            self._activity.setdefault(name, Activity()).add(active, examples)

    def units(self) -> dict[str, Units]:
        """Return the units of rectifiers over the second half of the probes so far."""
        return {name: each.units() for name, each in self._activity.items()}


def _mean_square(state: Mapping[str, Any], group: Mapping[str, Any]) -> Tensor | None:
    """Return the mean square of the gradient that a step is divided by the root of, or None.

    Adam's family corrects its bias; RMSprop does not, and Adagrad has a sum.
    """
    if "exp_avg_sq" in state and "step" in state:
        beta = group["betas"][1] if "betas" in group else group.get("beta2", 0.999)
        return state["exp_avg_sq"] / (1 - beta ** float(state["step"]))
    return state.get("square_avg", state.get("sum"))


def _norm(optimizer: torch.optim.Optimizer) -> Tensor | float:
    """Return the norm of the gradients that are there of an optimizer's own parameters."""
    held = [p for group in optimizer.param_groups for p in group["params"]]
    found = [measure.norm(p.grad) for p in held if p.grad is not None]
    return torch.stack([each.double() for each in found]).norm() if found else 0.0


def _smaller(left: Tensor | float, before: Tensor | float) -> Tensor | float:
    """Return the smaller of two norms; one that is no tensor is zero."""
    if isinstance(left, Tensor) and isinstance(before, Tensor):
        return torch.minimum(left, before)
    return 0.0
