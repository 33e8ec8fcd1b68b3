"""All that an observer saw and what was measured at the end, as evidence."""

from __future__ import annotations

import math
from dataclasses import replace

from thalweg.doctor.evidence import (
    Costs,
    Evidence,
    Kind,
    LabelBatch,
    ModelFacts,
    OptimizerFacts,
)
from thalweg.doctor.owed import Case, Settled, settle
from thalweg.doctor.watching.awaited import by_place
from thalweg.doctor.watching.hearing import our_own
from thalweg.doctor.watching.notes import notes
from thalweg.doctor.watching.observer import Observer
from thalweg.doctor.watching.survey import survey_model
from thalweg.problems import own_gradient
from thalweg.training import randomness

NEED_LOSS: tuple[Kind, ...] = ("curvature", "noise", "gradient check", "neighbours", "loss slice")
"""What is not to be had unless the loss is there as a function."""


def settled(seen: Observer, seconds: float) -> Settled:
    """Measure what is owed, all observers looking away; afterwards the model is as it was.

    So are random numbers, whoever drew from them: the model or the loss.
    """
    passes = seen.passes.usable()
    loss_fn = by_place(seen.loss_fn) if passes and own_gradient(seen.loss_fn) is None else None
    if loss_fn is None:
        passes = [each for each in seen.passes.kept if each.untouched]
    if not passes or not seconds:
        return Settled()
    if (one := one_pass(seen)) > seconds:
        reason = f"not measured: one pass takes about {one:.2g} s, and at_exit={seconds:g}"
        return Settled(unavailable=dict.fromkeys(NEED_LOSS, reason))
    view, before = seen.passes.view, randomness.capture()
    try:
        with our_own():
            parts = loss_fn, view, passes, seen.updates, seen.passes.odd
            case = Case(seen.inner, seen.optimizer, *parts)
            return settle(case, seconds, seen.prober)
    finally:
        randomness.restore(before)


def one_pass(seen: Observer) -> float:
    """Return the seconds that a pass and its gradient take, as the training shows it.

    It is no more than the quickest update; where that is long, but data may have been waited for,
    it is three times the quickest pass, if one was timed.
    """
    updates = [each.seconds / max(each.backwards, 1) for each in seen.log.steps() if each.seconds]
    return min(*updates, 3 * seen.prober.pass_seconds, math.inf)


def gather(
    seen: Observer, facts: tuple[ModelFacts, OptimizerFacts], owed: Settled, ending: float
) -> Evidence:
    """Return the evidence so far; *ending* seconds went into all that was measured at the end."""
    attempt = seen.attempt
    attempt("validation", seen.losses.end_pass, seen.updates)
    steps, (model, optimizer) = seen.log.steps(), facts
    return Evidence(
        model=attempt("the model", _completed, seen, model) or model,
        optimizer=optimizer, steps=steps,
        probes=(*seen.probes, owed.probe) if owed.probe else tuple(seen.probes),
        units=attempt("units", seen.prober.units) or {},
        inputs=attempt("inputs", seen.prober.features.inputs),
        labels=tuple(_labels(seen)),
        validations=tuple(seen.losses.validations),
        nonfinite=attempt("finite numbers", seen.trouble.end, steps),
        schedulers=attempt("schedulers", seen.schedulers.facts, seen.updates) or (),
        averages=attempt("averages", seen.averages.facts, seen.inner) or (),
        others=tuple(seen.others),
        curvature=owed.curvature, noise=owed.noise,
        gradient_check=owed.gradient_check, neighbours=owed.neighbours,
        loss_slice=owed.loss_slice,
        unavailable=_unavailable(seen) | owed.unavailable,
        failed=(*seen.failed.values(), *owed.failed),
        notes=tuple(notes(seen)),
        costs=Costs(seen.last - seen.begun, seen.watching, ending),
    )  # fmt: skip


def _completed(seen: Observer, model: ModelFacts) -> ModelFacts:
    """Return the facts of the model with what was added to it, and the functions it calls.

    These are its activations; parameters are in the groups of the optimizer that they are in now.
    """
    functions, order = seen.prober.functions, seen.prober.order
    now = survey_model(seen.model, seen.optimizer)
    before = {
        name: replace(each, groups=now.parameters.get(name, each).groups)
        for name, each in model.parameters.items()
    }
    parameters = {**now.parameters, **before}
    modules = {**now.modules, **model.modules, **functions}
    return replace(model, parameters=parameters, modules=modules, order=order or model.order)


def _labels(seen: Observer) -> list[LabelBatch]:
    """Return the labels of all updates; none where they are of another model behind this one.

    So it is with a generator, whose critic is told what it is to answer.
    """
    if seen.passes.shared and seen.passes.strange:
        return []
    return [each for each in seen.labels.batches if each.step <= seen.updates]


def _unavailable(seen: Observer) -> dict[Kind, str]:
    found: dict[Kind, str] = {}
    if seen.host == "compiled":
        found["activations"] = "the model is compiled, and hooks do not see inside it"
        found["inputs"] = found["activations"]
    if reason := _no_loss(seen):
        found |= dict.fromkeys(NEED_LOSS, reason)
    if seen.loss_fn is None:
        found["validation"] = "not available without loss_fn"
    return found


def _no_loss(seen: Observer) -> str:
    """Return why the loss is not there as a function, "" where it is."""
    if seen.loss_fn is None:
        return "not available without loss_fn"
    if own_gradient(seen.loss_fn) is not None:
        return "the loss writes its gradient itself and has no curvature"
    if seen.passes.strange:
        return "loss_fn was called on something else than the model's output"
    return "" if seen.passes.usable() else "no call of loss_fn was seen"
