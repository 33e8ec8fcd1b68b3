"""All that an observer saw, as evidence."""

from __future__ import annotations

from dataclasses import replace

from thalweg.doctor.evidence import Costs, Evidence, Kind, ModelFacts, OptimizerFacts
from thalweg.doctor.watching.observer import Observer

NEED_LOSS: tuple[Kind, ...] = ("validation", "curvature", "noise", "gradient check", "neighbours")
"""What is not to be had unless the loss is there as a function."""


def gather(seen: Observer, facts: tuple[ModelFacts, OptimizerFacts], ending: float) -> Evidence:
    """Return the evidence so far; *ending* seconds went into what is measured at the end."""
    seen.losses.end_pass(seen.updates)
    steps, (model, optimizer) = seen.log.steps(), facts
    if seen.updates:
        seen.schedulers.search()
    return Evidence(
        model=_completed(seen, model), optimizer=optimizer, steps=steps,
        probes=tuple(seen.probes), units=seen.prober.units(),
        inputs=seen.prober.features.inputs(), labels=tuple(seen.labels),
        validations=tuple(seen.losses.validations), nonfinite=seen.trouble.end(steps),
        schedulers=tuple(seen.schedulers.facts(seen.updates)),
        averages=tuple(seen.averages.facts()), unavailable=_unavailable(seen),
        failed=tuple(seen.failed.values()),
        costs=Costs(seen.last - seen.begun, seen.watching, ending),
    )  # fmt: skip


def _completed(seen: Observer, model: ModelFacts) -> ModelFacts:
    """Return the facts of the model with the activations that it calls as functions."""
    functions, order = seen.prober.functions, seen.prober.order
    return replace(model, modules={**model.modules, **functions}, order=order or model.order)


def _unavailable(seen: Observer) -> dict[Kind, str]:
    found: dict[Kind, str] = {}
    if seen.host == "compiled":
        found["activations"] = "the model is compiled, and hooks do not see inside it"
        found["inputs"] = found["activations"]
    if seen.loss_fn is None:
        found |= dict.fromkeys(NEED_LOSS, "not available without loss_fn")
    elif seen.passes.strange:
        reason = "loss_fn was called on something else than the model's output"
        found |= dict.fromkeys(NEED_LOSS[1:], reason)
    return found
