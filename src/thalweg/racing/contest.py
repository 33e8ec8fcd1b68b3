"""A contest: one race on each of several problems, and on how many of them each rule is fast."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, overload

from thalweg.errors import BadValue
from thalweg.problems import Problem
from thalweg.racing.plan import checked, load
from thalweg.racing.result import Result, Row, Terms
from thalweg.racing.statistics import LARGEST_RATIO, Profile, median, profiles
from thalweg.racing.verdict import listed

P = ParamSpec("P")


@dataclass(frozen=True)
class Contest:
    """One result for each problem, of races between the same rules."""

    results: tuple[Result, ...]

    @cached_property
    def profiles(self) -> dict[str, Profile]:
        """The performance profile of each rule, by its key, from its median times to the targets.

        A problem without a target counts as one that no rule solved. Source: Dolan & More 2002.
        """
        boards = [{row.rule: row for row in result.board} for result in self.results]
        return profiles({rule: [_time(board[rule]) for board in boards] for rule in boards[0]})

    @property
    def verdict(self) -> str:
        """What the profiles say of these problems, in plain words."""
        return " ".join(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """The sentences of the verdict, the most important first."""
        return list(_sentences(self.results, self.profiles))


def _time(row: Row) -> float:
    return median(row.times).value if row.times else math.inf


def _sentences(results: Sequence[Result], found: Mapping[str, Profile]) -> Iterator[str]:
    names, count = results[0].header.names, len(results)
    solved = [any(map(math.isfinite, each)) for each in zip(*_ratios(found), strict=True)]
    if not any(solved):
        yield (
            f"No verdict: no rule reached a target on any of {_problems(count)} with more than "
            "half of its seeds."
        )
        return
    ranked = sorted(found, key=lambda rule: -found[rule].score)
    highest = [rule for rule in ranked if found[rule].score == found[ranked[0]].score]
    told = listed(names[rule] for rule in highest)
    yield (
        f"Over {_problems(count)}, {told} {'has' if len(highest) == 1 else 'share'} the highest "
        f"performance profile, {found[ranked[0]].score:.2f} of 1 on average."
    )
    records: dict[str, list[str]] = {}
    for rule in ranked:
        records.setdefault(_record(found[rule], count), []).append(names[rule])
    for record, alike in records.items():
        yield f"{record}: {listed(alike)}."
    unsolved = [result.problem for result, each in zip(results, solved, strict=True) if not each]
    if unsolved:
        yield f"No rule reached the target in the median on {', '.join(unsolved)}."
    yield "This counts problems; whether a difference is shown, each race says for itself."


def _ratios(found: Mapping[str, Profile]) -> list[tuple[float, ...]]:
    return [profile.ratios for profile in found.values()]


def _problems(count: int) -> str:
    return f"{count} problems" if count > 1 else "1 problem"


def _record(profile: Profile, count: int) -> str:
    """Say on how many problems a rule was the fastest, within reach of it, and not there at all."""
    first, near = (sum(each <= most for each in profile.ratios) for most in (1.0, LARGEST_RATIO))
    never = sum(map(math.isinf, profile.ratios))
    if never == count:
        return "Reached no target with more than half of its seeds"
    words = f"Fastest on {first} of {count}, within {LARGEST_RATIO:g} times the fastest on {near}"
    return f"{words}, target missed on {never}" if never else words


class ForSeveral(Protocol[P]):
    """A race on one problem, or on each of several."""

    @overload
    def __call__(self, problem: str | Problem, *args: P.args, **terms: P.kwargs) -> Result: ...

    @overload
    def __call__(
        self, problem: list[Any] | tuple[Any, ...], *args: P.args, **terms: P.kwargs
    ) -> Contest: ...


def for_several(race: Callable[Concatenate[str | Problem, P], Result]) -> ForSeveral[P]:
    """Let a race take a list of problems as well, and return their Contest."""

    @wraps(race)
    def either(problem: Any, *args: Any, **terms: Any) -> Any:
        if not isinstance(problem, (list, tuple)):
            return race(problem, *args, **terms)
        loaded = _loaded(problem, terms)
        return Contest(tuple(race(each, *args, **terms) for each in loaded))

    return either


def _loaded(given: Sequence[Any], terms: Mapping[str, Any]) -> list[Problem]:
    """Return all problems, each checked before the first race begins."""
    if not given:
        raise BadValue("a contest needs at least one problem, none was given.")
    check_targets(terms)
    loaded = [load(each) for each in given]
    for each in loaded:
        checked(each, Terms(metric=terms.get("metric", "loss")))
    return loaded


def check_targets(terms: Mapping[str, Any]) -> None:
    """Refuse terms of races on several problems, by name, under which there is no target."""
    if terms.get("reference", "") is None and terms.get("target") is None:
        raise BadValue(
            "several problems are compared by the time to a target, and there is none without a "
            "reference. Leave the reference as it is, or give a target."
        )
