"""`suggest_lr`: which learning rate suits a rule on a problem, or on any module, loss and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thalweg import problems, rules
from thalweg.arguments import check_count
from thalweg.doctor.rates.advice import Advice, advised
from thalweg.doctor.rates.edge import edge
from thalweg.doctor.rates.subject import Subject, undisturbed
from thalweg.doctor.rates.sweep import sweep
from thalweg.doctor.rates.trials import Trials
from thalweg.doctor.watching.hearing import our_own
from thalweg.errors import BadType, BadValue
from thalweg.optim import Optimizer
from thalweg.optim.driver import Driver
from thalweg.problems import Problem
from thalweg.training import Settings
from thalweg.training.data.batches import as_batches
from thalweg.training.data.forms import as_data
from thalweg.training.fitting import check_model_and_data
from thalweg.training.parts import check_model_and_optimizer
from thalweg.training.threads import threads

UPDATES, FEWEST = 400, 20
"""Updates of a short run unless given, and at least."""

BATCH = 32
"""Examples of a batch unless given; a loader cuts its own."""

SWEPT = 100
"""Updates of the range test at least; it has half as many as a short run where that is more."""


def suggest_lr(
    subject: str | Problem | nn.Module,
    loss: Callable[[Any, Any], Tensor] | None = None,
    train: Any = None,
    valid: Any = None,
    *,
    rule: str | torch.optim.Optimizer | None = None,
    hyper: Mapping[str, float] | None = None,
    batch: Any = None,
    updates: int = UPDATES,
    seed: int = 0,
) -> Advice:
    """Return a learning rate, the interval around it that is as good, and why.

    *subject* is a problem, a problem file, or a model with its *loss* and its data as `fit` takes
    them. *rule* is a key of the catalogue, with the hyperparameters *hyper*, or an optimizer that
    holds the model's parameters; adamw unless given. Short runs of so many *updates* at eight rates
    or so decide; they are judged on *valid* where it is given. All runs are made on copies, and
    random numbers are put back, those of loaders too: nothing is changed.

    Raises NoRate where no rate lowers the loss, UnknownName, BadValue, BadType or BadFile before
    the first run for what cannot work.
    """
    check_count("updates", updates, FEWEST)
    check_count("seed", seed, 0)
    if isinstance(subject, nn.Module):
        if loss is None or train is None:
            raise BadType("a model was given without loss or data: suggest_lr(model, loss, train).")
        optimizer = _optimizer(subject, rule, hyper)
        with our_own(), undisturbed(as_data(train), None if valid is None else as_data(valid)):
            case = _case(subject, optimizer, loss, train, valid, batch, seed)
            return _advice(type(subject).__name__, case, updates)
    if loss is not None or train is not None or valid is not None:
        raise BadType("a problem brings its loss and its data; give them with a model alone.")
    return _of_problem(subject, rule, hyper, batch, updates, seed)


def _of_problem(
    subject: str | Problem, rule: Any, hyper: Any, batch: Any, updates: int, seed: int
) -> Advice:
    problem = problems.load(subject) if isinstance(subject, str) else subject
    if not isinstance(problem, Problem):
        raise BadType(f"the subject is {problem!r:.60}; expected a problem, its name, or a model.")
    if isinstance(rule, torch.optim.Optimizer):
        raise BadType("an optimizer belongs to a model: suggest_lr(model, loss, train, rule=…).")
    settings = Settings(rule=rule, batch=batch, seed=seed).completed(problem)
    sets = [as_data(each) for each in (problem.train, problem.validation) if each is not None]
    with our_own(), undisturbed(*sets), threads(problem.threads):
        model = problem.make_model(seed)
        optimizer = _optimizer(model, settings.rule, hyper)
        parts = problem.loss, problem.train, problem.validation
        case = _case(model, optimizer, *parts, settings.batch, seed)
        whole = (case.batches.updates_per_epoch or updates) * problem.epochs
        return _advice(problem.name, case, min(updates, max(whole, FEWEST)))


def _optimizer(
    model: nn.Module, rule: Any, hyper: Mapping[str, float] | None
) -> torch.optim.Optimizer:
    if isinstance(rule, torch.optim.Optimizer):
        if hyper:
            raise BadValue("hyperparameters were given beside an optimizer, which has its own.")
        return rule
    _check_hyper(hyper)
    if not any(p.requires_grad for p in model.parameters()):
        raise BadValue("no parameter of the model requires a gradient; there is nothing to train.")
    settings: dict[str, Any] = dict(hyper or {})
    return Optimizer(model.parameters(), rules.find("adamw" if rule is None else rule), **settings)


def _check_hyper(hyper: Any) -> None:
    named = isinstance(hyper, Mapping) and all(isinstance(name, str) for name in hyper)
    if hyper is not None and not named:
        raise BadType(f'hyper={hyper!r:.60}; expected numbers by name, such as {{"beta1": 0.9}}.')
    if hyper and "lr" in hyper:
        raise BadValue("lr was given among the hyperparameters, and it is what is to be found.")


def _case(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Any, train: Any, valid: Any,
    batch: Any, seed: int,
) -> Subject:  # fmt: skip
    size = BATCH if batch is None else batch
    batches = as_batches(as_data(train), size, None, seed, 1)
    check_model_and_optimizer(model, optimizer)
    check_model_and_data(model, loss, train, valid)
    held_out = None if valid is None else as_data(valid)
    found = Subject(model, optimizer, loss, batches, held_out, seed)
    found.check()
    return found


def _advice(name: str, case: Subject, updates: int) -> Advice:
    swept = sweep(case, max(updates // 2, SWEPT))
    stable = edge(case, float(swept.rates[0]))
    trials = Trials(case, updates)
    trials.search(swept.steepest)
    return advised(name, _named(case.optimizer), swept, stable, trials)


def _named(optimizer: torch.optim.Optimizer) -> str:
    if isinstance(optimizer, Driver):
        return optimizer.rule_of(optimizer.param_groups[0]).key
    return type(optimizer).__name__
