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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import NamedTuple

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
    runs = _begin(header, train)
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

    A rule that always diverged has no best trial, and at the end of what is legal there is nothing
    to extend.
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
    trials = sum(share.points for share in _budget(header, header.terms.trials))
    return trials + header.terms.seeds * len(header.rules)


class Share(NamedTuple):
    """How many points are tried for a rule, and what for."""

    rule: str
    phase: str
    points: int


def _budget(header: Header, number: int) -> list[Share]:
    """Return what each rule tries, so many points, and four times as many for the reference."""
    found = [Share(rule, TRIAL, number) for rule in header.rules]
    reference = header.terms.reference
    if reference is not None and header.terms.target is None:
        own = number if reference in header.rules else 0
        found.append(Share(reference, REFERENCE_TRIAL, REFERENCE_TRIALS * number - own))
    return found


def _begin(header: Header, train: Train) -> list[Run]:
    """Search the spaces that the race begins with; in a race of one trial, try the defaults.

    The other trials that the reference then has are points of its space.
    """
    budget = _budget(header, header.terms.trials)
    if header.terms.trials > 1:
        return _search(header, header.spaces, budget, 0, train)
    first = {share.rule: share.phase for share in reversed(budget)}
    runs = train([Task(phase, rule, {}, header.terms.seed) for rule, phase in first.items()])
    left = [
        share._replace(points=REFERENCE_TRIALS - 1)
        for share in budget
        if share.phase == REFERENCE_TRIAL
    ]
    return runs + (_search(header, header.spaces, left, 0, train) if left else [])


def _search(
    header: Header, spaces: Spaces, budget: list[Share], region: int, train: Train
) -> list[Run]:
    """Try the points of a budget, of samplers whose seed is that of the race and the region."""
    terms, runs = header.terms, list[Run]()
    samplers = {
        rule: sampler(terms.sampler, len(spaces[rule].axes), terms.seed + region)
        for rule in dict.fromkeys(share.rule for share in budget)
    }
    for shares in _rounds(budget, any(each.learns for each in samplers.values())):
        asked = _asked(shares, samplers)
        done = train(
            [
                Task(phase, rule, spaces[rule].settings(point), terms.seed)
                for rule, phase, point in asked
            ]
        )
        for (rule, _, point), run in zip(asked, done, strict=True):
            samplers[rule].tell(point, run.value(terms.metric))
        runs += done
    return runs


def _rounds(budget: list[Share], learns: bool) -> Iterator[list[Share]]:
    """Divide a budget into rounds: everything at once, unless the samplers learn in between.

    The reference's own trials come before the others that it has, so that they are the points of
    all rules.
    """
    if not learns:
        yield budget
        return
    turns: dict[str, list[Share]] = {}
    for share in budget:
        size = -(-budget[0].points // ROUNDS)
        sizes = (min(size, share.points - done) for done in range(0, share.points, size))
        turns.setdefault(share.rule, []).extend(share._replace(points=each) for each in sizes)
    for together in zip_longest(*turns.values()):
        yield [share for share in together if share]


def _asked(shares: list[Share], samplers: Mapping[str, Sampler]) -> list[tuple[str, str, Point]]:
    """Return the points of a round, each with its rule and what it is for.

    All rules come before the next point, so that a spell of a busy machine falls on none alone.
    """
    asked = [
        [(share.rule, share.phase, point) for point in samplers[share.rule].ask(share.points)]
        for share in shares
    ]
    return [each for row in zip_longest(*asked) for each in row if each]


def _beyond(
    header: Header, spaces: Spaces, extended: list[tuple[str, str]], train: Train
) -> list[Run]:
    """Try what the last extension adds to each space, as densely as the space was tried before.

    A rule whose space ends there tries as many more points in the space it has.
    """
    name, side = extended[-1]
    added = {rule: _added(space, name, side) for rule, space in spaces.items()}
    shares = [
        added[rule].volume / header.spaces[rule].volume
        for rule, space in spaces.items()
        if added[rule] is not space
    ]
    number = max(1, round(header.terms.trials * max(shares)))
    return _search(header, added, _budget(header, number), len(extended), train)


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
