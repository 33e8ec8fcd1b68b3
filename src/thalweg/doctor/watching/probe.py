"""A probe looks at everything of first order about one update: layers, gradients, the step."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor.evidence import LayerProbe, ParameterProbe, Probe, Units
from thalweg.doctor.watching import measure
from thalweg.doctor.watching.activity import Activity
from thalweg.doctor.watching.survey import leaves


class Prober:
    """Looks at updates of a model; its hooks exist from `arm` until the update is over.

    ``order`` has the modules in the order of the first forward pass that was looked at. What is
    seen is kept as numbers alone: no tensor of a pass outlives its update. ``seconds`` have been
    spent on the update that is looked at, ``failure`` is what went wrong in it.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._model, self._optimizer = model, optimizer
        self._hooks: list[Any] = []
        self._layers: dict[str, dict[str, Any]] = {}
        self._parameters: dict[str, dict[str, Any]] = {}
        self._before: dict[str, Tensor] = {}
        self._activity: dict[str, Activity] = {}
        self.order: tuple[str, ...] = ()
        self.seconds, self.failure = 0.0, ""

    @property
    def armed(self) -> bool:
        """Whether the update that is on its way is looked at."""
        return bool(self._hooks)

    def arm(self) -> None:
        """Look at the next forward pass and the update after it."""
        for name, module in leaves(self._model):
            self._hooks.append(module.register_forward_hook(self._layer_hook(name)))

    def disarm(self) -> None:
        """Take all hooks away and forget what belongs to one update."""
        for hook in self._hooks:
            hook.remove()
        for store in (self._hooks, self._layers, self._parameters, self._before):
            store.clear()
        self.seconds, self.failure = 0.0, ""

    def _layer_hook(self, name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            first = output[0] if isinstance(output, tuple) and output else output
            if name in self._layers or not isinstance(first, Tensor):
                return
            if first.is_floating_point() and first.numel():
                self._timed(lambda: self._look(name, module, args, first))

        return hook

    def _timed(self, work: Callable[[], Any]) -> Any:
        """Do a part of a probe, no gradient recorded; what fails is kept and raised nowhere."""
        begun = perf_counter()
        try:
            with torch.no_grad():
                return work()
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            return None
        finally:
            self.seconds += perf_counter() - begun

    def _look(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self._layers[name] = measure.layer(module, args, output)
        if isinstance(module, measure.RECTIFIERS):
            active = measure.active_units(output)
            self._layers[name]["silent"] = (~active).float().mean()
            self._activity.setdefault(name, Activity()).add(active, measure.positions(output))

    def before_step(self) -> None:
        """Look at gradients and weights as the optimizer finds them."""
        self._timed(self._look_at_gradients)

    def _look_at_gradients(self) -> None:
        for name, tensor in self._model.named_parameters():
            self._parameters[name] = measure.gradient(tensor)
            if tensor.grad is not None:
                self._before[name] = tensor.detach().clone()

    def after_step(self, step: int) -> Probe | None:
        """Look at what the step did, and return all that was seen; None where the probe failed."""
        return self._timed(lambda: self._look_at_step(step))

    def _look_at_step(self, step: int) -> Probe:
        for name, tensor in self._model.named_parameters():
            found = self._parameters.setdefault(name, {})
            if name in self._before:
                found |= measure.update(tensor, self._before[name])
                found |= self._underflow(tensor)
            if (rows := measure.distinct_rows(tensor)) is not None:
                found["rows"], found["distinct"] = rows
        self.order = self.order or tuple(self._layers)
        return self._numbers(step)

    def _underflow(self, tensor: Tensor) -> dict[str, Any]:
        """Return the share of √v̂ at or below eps, where the optimizer keeps Adam's state."""
        state = self._optimizer.state.get(tensor, {})
        group = next(
            g for g in self._optimizer.param_groups if any(p is tensor for p in g["params"])
        )
        if "exp_avg_sq" not in state or "step" not in state or "eps" not in group:
            return {}
        beta = group["betas"][1] if "betas" in group else group.get("beta2", 0.999)
        hat = state["exp_avg_sq"] / (1 - beta ** float(state["step"]))
        return {"below_eps": (hat.sqrt() <= group["eps"]).float().mean()}

    def _numbers(self, step: int) -> Probe:
        names = [*self._parameters, *self._layers]
        found = measure.fetch([*self._parameters.values(), *self._layers.values()])
        numbers = dict(zip(names[: len(self._parameters)], found, strict=False))
        seen = dict(zip(self._layers, found[len(self._parameters) :], strict=True))
        parameters = {name: _parameter(each) for name, each in numbers.items()}
        return Probe(step, parameters, {name: _layer(each) for name, each in seen.items()})

    def units(self) -> dict[str, Units]:
        """Return the units of rectifiers over the second half of the probes so far."""
        return {name: each.units() for name, each in self._activity.items()}


def _parameter(found: dict[str, Any]) -> ParameterProbe:
    for key in ("finite", "weight_finite"):
        found[key] = bool(found.get(key, True))
    if "distinct" in found:
        found["distinct"] = int(found["distinct"])
    return ParameterProbe(**found)


def _layer(found: dict[str, Any]) -> LayerProbe:
    low, high = found.pop("low"), found.pop("high")
    counts = found.pop("counts")
    flags: dict[str, Any] = {key: bool(found.pop(key)) for key in ("finite", "inputs_finite")}
    heights = tuple(int(each) for each in counts)
    width = (high - low) / max(len(heights), 1)
    edges = tuple(low + k * width for k in range(len(heights) + 1))
    return LayerProbe(**found, **flags, counts=heights, edges=edges)
