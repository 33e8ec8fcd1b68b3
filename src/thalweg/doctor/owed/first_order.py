"""Layers and gradients at the final weights, over the batches that were kept."""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any, final

import torch
from torch import Tensor

from thalweg.doctor.evidence import Probe
from thalweg.doctor.owed.case import Case, Pair
from thalweg.doctor.owed.clock import Clock
from thalweg.doctor.watching import measure
from thalweg.doctor.watching.layers import Layers
from thalweg.doctor.watching.probe import Prober
from thalweg.doctor.watching.reading import read_probe
from thalweg.doctor.watching.timed import Timed

SHARE = 0.25
"""Passes end when they have taken this share of the seconds there are."""


@final
class FirstOrder:
    """Passes over the batches of a case, looked at layer by layer, their gradients summed up.

    ``seconds`` is what the quickest of them took.
    """

    def __init__(self, case: Case) -> None:
        self._case, self._pinned = case, case.pinned()
        self._timed = Timed()
        self._layers = Layers(case.model, self._timed)
        self._leaves = {
            name: p.detach().to(self._pinned.dtype, copy=True).requires_grad_()
            for name, p in self._pinned.trained().items()
        }
        self._sums = {name: torch.zeros_like(each) for name, each in self._leaves.items()}
        self._passes = 0
        self.seconds = math.inf

    def probe(self, clock: Clock, prober: Prober) -> Probe:
        """Return what the passes showed: no update, and gradients that are means over batches.

        Which units are active is told to *prober*.
        """
        try:
            for pair in self._case.pairs:
                begun = perf_counter()
                self._pass(pair)
                prober.add_activity(self._layers)
                self.seconds = min(self.seconds, perf_counter() - begun)
                if clock.spent + perf_counter() - begun > SHARE * clock.seconds:
                    break
            if self._timed.failure is not None:
                raise self._timed.failure
            return read_probe(self._case.step, self._parameters(), self._layers.seen, {})
        finally:
            self._layers.disarm()

    def _pass(self, pair: Pair) -> None:
        arguments, targets = pair
        self._layers.disarm()
        self._layers.arm()
        with torch.enable_grad():
            self._layers.begin()
            output = self._pinned.output(self._leaves, arguments)
            self._layers.end()
            if self._case.loss_fn is not None:
                self._add(self._case.loss(output, targets))
        self._passes += 1

    def _add(self, loss: Tensor) -> None:
        tensors = list(self._leaves.values())
        found = torch.autograd.grad(loss, tensors, allow_unused=True)
        for total, slope in zip(self._sums.values(), found, strict=True):
            if slope is not None:
                total += slope

    def _parameters(self) -> dict[str, dict[str, Any]]:
        found = {}
        for name, p in self._case.model.named_parameters():
            found[name] = measure.weight(p)
            total = self._sums.get(f"model.{name}")
            if total is not None and self._case.loss_fn is not None:
                found[name] |= measure.gradient(total / self._passes)
        return found
