"""Who runs, under which conditions, for how long: settled and checked before the first step."""

from __future__ import annotations

import hashlib
import math
import platform
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy
import torch
from torch.utils.data import Dataset

import thalweg
from thalweg import problems
from thalweg.arguments import check_count, check_number
from thalweg.errors import BadFile, BadType, BadValue, UnknownName, nearest
from thalweg.problems import Problem, validate
from thalweg.problems.examples import first_batch
from thalweg.racing.beginning import beginning
from thalweg.racing.result import METRICS, Header, Terms
from thalweg.racing.sampling import sampler
from thalweg.racing.space import spaces
from thalweg.racing.tensors import as_tensors
from thalweg.rules import Rule, catalogue, find
from thalweg.rules.delay import READ_WITH_PARAMETER
from thalweg.schedules.spread import maker, spread
from thalweg.training.data.batches import Batches, as_batches
from thalweg.training.data.forms import Stream, as_data, size_of
from thalweg.training.evaluation import evaluate
from thalweg.training.parts import check_parameters
from thalweg.training.strategies.single import check_single
from thalweg.training.threads import threads

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Plan:
    """A race that has been checked and can begin; ``rules`` has the reference too, by its key.

    ``memory`` is how many bytes trainings that stand side by side may take, None for the default.
    """

    problem: Problem
    rules: Mapping[str, Rule]
    header: Header
    memory: int | None = None

    def __reduce__(self) -> Any:
        before = _fingerprint(self.problem)
        return _again, (self.problem, dict(self.rules), self.header, self.memory, before)


def _again(
    problem: Problem, rules: Mapping[str, Rule], header: Header, memory: int | None, before: str
) -> Plan:
    """Return a plan in another process; a problem that was loaded has been loaded anew."""
    ready = as_tensors(problem)
    if ready.digest != header.digest or _fingerprint(ready) != before:
        raise BadFile(
            f"the problem {problem.name!r} has changed since it was loaded for the race, or its "
            "data and weights are others whenever it is loaded. Let them follow from a seed, such "
            "as torch.manual_seed(0), and race again."
        )
    return Plan(ready, rules, header, memory)


def _fingerprint(problem: Problem) -> str:
    """Return what tells a problem from one with other first examples or weights."""
    found = hashlib.sha256()
    with beginning(0, problem.train, problem.validation):
        given = (part for part in (problem.train, problem.validation) if part is not None)
        batches = [first_batch(part) for part in given]
        model = problem.make_model(0)
    for part in (*chain(*batches), *model.state_dict().values()):
        if isinstance(part, torch.Tensor):
            found.update(part.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def prepare(
    problem: str | Problem,
    rules: Iterable[str | Rule] | None = None,
    terms: Terms | None = None,
    memory: int | None = None,
) -> Plan:
    """Check the arguments of a race, load the problem's data and return the plan.

    Raises UnknownName, BadValue, BadType or BadFile before anything is trained.
    """
    terms = terms or Terms()
    check_terms(terms)
    if memory is not None:
        check_count("memory", memory)
    chosen = choose(usual() if rules is None else rules)
    reference = _reference(terms, chosen)
    loaded = load(problem)
    ready = checked(loaded, terms)
    everybody = {rule.key: rule for rule in (*chosen, *reference)}
    return Plan(ready, everybody, _header(ready, chosen, everybody, terms), memory)


def check_terms(terms: Terms) -> None:
    """Refuse terms that no race can have, whatever the problem."""
    check_count("trials", terms.trials)
    check_count("seeds", terms.seeds)
    check_count("seed", terms.seed, 0, LARGEST_SEED - terms.seeds)
    if terms.epochs is not None:
        check_count("epochs", terms.epochs)
    if terms.target is not None:
        check_number("target", terms.target)
    if terms.metric not in METRICS:
        raise UnknownName(
            f"there is no metric {terms.metric!r}.{nearest(str(terms.metric), METRICS)} A race is "
            f"decided by one of: {', '.join(METRICS)}."
        )
    maker(terms.schedule)
    sampler(terms.sampler, 1, terms.seed)


def usual() -> list[Rule]:
    """Return the rules that race unless others are named: all but those of late gradients.

    In a race no gradient comes late, so that these are what their parents are.
    """
    late = READ_WITH_PARAMETER.keys()
    return [rule for rule in catalogue.values() if not late & rule.signature.slots.keys()]


def choose(rules: Iterable[str | Rule]) -> tuple[Rule, ...]:
    """Return the rules meant, each once; raises where there is none, or two have the same key."""
    if isinstance(rules, str):
        raise BadType(
            f"rules should be a list of names, got the text {rules!r}: write [{rules!r}]."
        )
    found = [rule if isinstance(rule, Rule) else find(rule) for rule in rules]
    chosen = tuple(dict.fromkeys(found))
    if not chosen:
        raise BadValue(
            "a race needs at least one rule, none was given; leave rules out for all of them."
        )
    keys = [rule.key for rule in chosen]
    for rule in chosen:
        if keys.count(rule.key) > 1:
            raise BadValue(
                f"two different rules have the key {rule.key!r}; give one of them another name."
            )
    return chosen


def _reference(terms: Terms, chosen: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Return the rule that sets the target, if one does; one of those that race where it can."""
    if terms.reference is None or terms.target is not None:
        return ()
    racing = next((rule for rule in chosen if rule.key == terms.reference), None)
    return (racing or find(terms.reference),)


def load(problem: str | Problem) -> Problem:
    """Return the problem that is meant; BadType for what cannot mean one."""
    found = problems.load(problem) if isinstance(problem, str) else problem
    if not isinstance(found, Problem):
        raise BadType(
            f"problem is a {type(problem).__name__}; expected a name, the path of a problem file, "
            "or a Problem. thalweg.problems.define(model=..., train=..., valid=...) makes one."
        )
    return found


def checked(problem: Problem, terms: Terms) -> Problem:
    """Return the problem with its data as tensors, or refuse what cannot be raced on."""
    if problem.validation is None:
        raise BadValue(
            f"a race chooses and judges on a validation set, and {problem.name!r} has none. Give "
            "it one: `valid` in a problem file, `validation` of a Problem."
        )
    check_count("epochs", problem.epochs)
    _warn_of_workers(problem)
    validate(problem)
    ready = as_tensors(problem)
    if any(isinstance(data, Dataset) for data in (problem.train, problem.validation, problem.test)):
        validate(ready)
    with beginning(terms.seed, ready.train, ready.validation), threads(problem.threads):
        _check_start(ready, terms)
    return ready


def _warn_of_workers(problem: Problem) -> None:
    if any(
        getattr(data, "persistent_workers", False) for data in (problem.train, problem.validation)
    ):
        warnings.warn(
            f"a loader of {problem.name!r} keeps its workers from training to training, and random "
            "numbers that they draw do not begin anew: the race need not repeat itself. "
            "DataLoader(..., persistent_workers=False) makes it so.",
            stacklevel=4,
        )


def _check_start(problem: Problem, terms: Terms) -> None:
    """Refuse a model that cannot be trained, or whose metric is no number from the start."""
    model = problem.make_model(terms.seed)
    check_parameters(model)
    check_single(model, _batches(problem), terms.epochs or problem.epochs)
    start = evaluate(model, problem.loss, problem.validation)
    if terms.metric == "error" and start.accuracy is None:
        raise BadValue(
            f"{problem.name!r} has no classes to be right or wrong about; race by the loss."
        )
    first = evaluate(model, problem.loss, [first_batch(problem.train)])
    for part, loss in (("validation", start.loss), ("training", first.loss)):
        if not math.isfinite(loss):
            raise BadValue(
                f"the {part} loss of {problem.name!r} is {loss} before any training, so that no "
                "trial could be chosen by it. Look at how the model is initialized and at its loss."
            )


def _batches(problem: Problem) -> Batches:
    return as_batches(as_data(problem.train), problem.batch_size, None, 0, accumulate=1)


def _header(
    problem: Problem, chosen: tuple[Rule, ...], everybody: Mapping[str, Rule], terms: Terms
) -> Header:
    epochs = problem.epochs if terms.epochs is None else terms.epochs
    updates, batch_size = _sizes(problem, terms.seed)
    spread(terms.schedule, 1.0, epochs * updates)
    return Header(
        problem=problem.name,
        description=problem.description,
        digest=problem.digest,
        rules=tuple(rule.key for rule in chosen),
        names={key: rule.name for key, rule in everybody.items()},
        terms=terms,
        epochs=epochs,
        batch_size=batch_size,
        updates=updates,
        tested=problem.test is not None,
        spaces=spaces(everybody.values(), terms.search),
        threads=problem.threads or torch.get_num_threads(),
        versions=versions(),
    )


def _sizes(problem: Problem, seed: int) -> tuple[int, int]:
    """Return how many updates an epoch has, and the size of a batch.

    A loader that does not say how many is gone through once, for its first batch or for all.
    """
    batches = _batches(problem)
    updates, data = batches.updates_per_epoch, batches.data
    if isinstance(data, Stream):
        with beginning(seed, problem.train):
            sizes = [size_of(batch) for batch in islice(data, 1 if updates else None)]
        return updates or len(sizes), max(sizes, default=0)
    assert updates is not None
    return updates, len(data) if problem.batch_size == "all" else problem.batch_size


def versions() -> dict[str, str]:
    """Return the versions of all that the numbers depend on."""
    return {
        "thalweg": thalweg.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }
