"""The protocol of a race, step by step: what is trained, for what, and in which order.

Every rule gets the same number of trials at the same points. A best trial at the end of what was
searched extends the search, for every rule, at most twice. The best setting of each is then run
with fresh seeds, the same for all. The target is what the reference reaches, tuned with four times
the trials. All of it follows from the header and the numbers that come out: the same numbers lead
to the same trainings, so that a race can be repeated, and taken up where it was stopped.

Sources: Choi et al. 2019; Dahl et al. 2023 (AlgoPerf); Schmidt et al. 2021; Sivaprasad et al. 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from thalweg.racing.result import (
    FINAL,
    REFERENCE_FINAL,
    REFERENCE_TRIAL,
    TRIAL,
    Header,
    Run,
    Task,
)
from thalweg.racing.sampling import Point, Sampler, sampler
from thalweg.racing.space import Axis, Space

EXTENSIONS = 2
"""How often the search may be extended."""

REFERENCE_TRIALS = 4
"""How many times the trials of a rule the reference has, for the target."""

ROUNDS = 4
"""In how many rounds a sampler that learns is asked, so that many trials can run together."""

Train = Callable[[list[Task]], list[Run]]
Spaces = Mapping[str, Space]


@dataclass(frozen=True)
class Course:
    """How a race went: its runs in the order of the protocol, and the spaces it ended with."""

    runs: tuple[Run, ...]
    spaces: Spaces
    extended: tuple[tuple[str, str], ...]


def follow(header: Header, train: Train) -> Course:
    """Carry out the protocol; *train* does what it is asked for, and returns it in that order."""
    runs = _search(header, header.spaces, header.terms.trials, 0, train)
    spaces: Spaces = dict(header.spaces)
    extended: list[tuple[str, str]] = []
    for _ in range(EXTENSIONS if header.terms.trials > 1 else 0):
        for name, side in boundaries(header, spaces, runs):
            extended.append((name, side))
            runs += _beyond(header, spaces, extended, train)
            spaces = {rule: each.extended(side, name) for rule, each in spaces.items()}
    finals = train(_finals(header, runs))
    return Course((*runs, *finals), spaces, tuple(extended))


def boundaries(header: Header, spaces: Spaces, runs: Iterable[Run]) -> list[tuple[str, str]]:
    """Return the hyperparameters, with the side, at the end of which some rule's best trial lies.

    A rule that always diverged has no best trial.
    """
    runs, found = list(runs), set()
    for rule in header.rules:
        mine = of(runs, rule, TRIAL)
        best = chosen(header, mine)
        if math.isfinite(best.value(header.terms.metric)):
            tried = [run.task.setting for run in mine]
            found |= set(spaces[rule].on_edge(best.task.setting, tried).items())
    return sorted(found)


def chosen(header: Header, trials: Iterable[Run]) -> Run:
    """Return the trial with the lowest metric on the validation set, the first of equals."""
    return min(trials, key=lambda run: run.value(header.terms.metric))


def of(runs: Iterable[Run], rule: str, *phases: str) -> list[Run]:
    """Return the runs of a rule in these phases."""
    return [run for run in runs if run.task.rule == rule and run.task.phase in phases]


def target_runs(header: Header, runs: Iterable[Run]) -> list[Run]:
    """Return the runs that set the target: the reference's best setting on the fresh seeds."""
    reference = header.terms.reference
    if reference is None or header.terms.target is not None:
        return []
    runs = list(runs)
    return of(runs, reference, REFERENCE_FINAL) or of(runs, reference, FINAL)


def expected(header: Header) -> int:
    """Return how many trainings there will be if nothing is extended."""
    trials = sum(_budget(header, header.terms.trials).values())
    return trials + header.terms.seeds * len(header.rules)


def _search(header: Header, spaces: Spaces, number: int, region: int, train: Train) -> list[Run]:
    """Try so many points in the space of every rule, and four times as many for the reference."""
    terms, runs = header.terms, list[Run]()
    samplers = {
        rule: sampler(terms.sampler, len(spaces[rule].axes), terms.seed + region)
        for rule in _budget(header, number)
    }
    for asked in _rounds(header, samplers, number):
        tasks = [
            Task(phase, rule, _setting(header, spaces[rule], point, place), terms.seed)
            for rule, point, phase, place in asked
        ]
        done = train(tasks)
        for (rule, point, *_), run in zip(asked, done, strict=True):
            samplers[rule].tell(point, run.value(terms.metric))
        runs += done
    return runs


def _budget(header: Header, number: int) -> dict[str, int]:
    """Return how many points each rule tries."""
    found = dict.fromkeys(header.rules, number)
    if header.terms.reference is not None and header.terms.target is None:
        found[header.terms.reference] = REFERENCE_TRIALS * number
    return found


def _rounds(
    header: Header, samplers: Mapping[str, Sampler], number: int
) -> Iterable[list[tuple[str, Point, str, int]]]:
    """Ask the samplers until every budget is spent; yield rules, points, phases and places.

    All rules come before the next point, so that a spell of a busy machine falls on none alone.
    """
    budget, done = _budget(header, number), 0
    learns = any(each.learns for each in samplers.values())
    size = -(-number // ROUNDS) if learns else max(budget.values())
    while done < max(budget.values()):
        counts = {rule: min(size, total - done) for rule, total in budget.items() if total > done}
        points = {rule: samplers[rule].ask(count) for rule, count in counts.items()}
        yield [
            (rule, points[rule][k], _phase(header, rule, done + k, number), done + k)
            for k in range(max(counts.values()))
            for rule in counts
            if k < counts[rule]
        ]
        done += size


def _phase(header: Header, rule: str, place: int, number: int) -> str:
    return TRIAL if rule in header.rules and place < number else REFERENCE_TRIAL


def _setting(header: Header, space: Space, point: Point, place: int) -> dict[str, float]:
    """Return the setting at a point; in a race of one trial, none: the rule's defaults."""
    if header.terms.trials == 1 and place == 0:
        return {}
    return space.settings(point)


def _beyond(
    header: Header, spaces: Spaces, extended: list[tuple[str, str]], train: Train
) -> list[Run]:
    """Try what the last extension adds to each space, as densely as the space was tried before.

    A rule whose space ends there tries as many more points in the space it has.
    """
    name, side = extended[-1]
    added = {rule: _added(space, name, side) for rule, space in spaces.items()}
    widths = [
        _axis(added[rule], name).width / _axis(header.spaces[rule], name).width
        for rule, space in spaces.items()
        if added[rule] is not space
    ]
    number = max(1, round(header.terms.trials * max(widths, default=0.0)))
    return _search(header, added, number, len(extended), train) if widths else []


def _added(space: Space, name: str, side: str) -> Space:
    """Return what an extension adds to a space, or the space itself where it adds nothing."""
    wider = space.extended(side, name)
    if wider == space:
        return space
    before, after = _axis(space, name), _axis(wider, name)
    low, high = (after.low, before.low) if side == "low" else (before.high, after.high)
    part = replace(after, low=low, high=high)
    return replace(space, axes=tuple(part if axis.name == name else axis for axis in space.axes))


def _axis(space: Space, name: str) -> Axis:
    return next(axis for axis in space.axes if axis.name == name)


def _finals(header: Header, runs: list[Run]) -> list[Task]:
    """Return the trainings of every rule's best setting, and the reference's own, on fresh seeds.

    The reference has none of its own where its best of all trials is what it races with.
    """
    terms = header.terms
    settings = {rule: chosen(header, of(runs, rule, TRIAL)).task.setting for rule in header.rules}
    entries = [(FINAL, rule, setting) for rule, setting in settings.items()]
    if terms.reference is not None and terms.target is None:
        best = chosen(header, of(runs, terms.reference, TRIAL, REFERENCE_TRIAL)).task.setting
        if best != settings.get(terms.reference):
            entries.append((REFERENCE_FINAL, terms.reference, best))
    seeds = range(terms.seed + 1, terms.seed + 1 + terms.seeds)
    return [Task(*entry, seed) for seed in seeds for entry in entries]
