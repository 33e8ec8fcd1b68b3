"""How the rules of a contest stand, as text: the profile of each, and its pace on each problem."""

from __future__ import annotations

from collections.abc import Mapping

from thalweg.racing import Contest, Result
from thalweg.racing.statistics import LARGEST_RATIO
from thalweg.report import numerals
from thalweg.report.race import words

READING = (
    "Profile is the mean height of a rule's performance profile between 1 and "
    f"{LARGEST_RATIO:g} times the fastest rule's updates: 1 for the fastest on every problem, 0 "
    f"where none is reached within {LARGEST_RATIO:g} times. Under a problem stands the ratio of "
    "the rule's median updates to the target to those of the fastest: ∞ where half of its seeds "
    "or more did not get there, never where none did, – where the race had no target."
)


def title(contest: Contest) -> str:
    """Say how many rules raced on how many problems."""
    rules = numerals.count(len(contest.profiles), "rule")
    return f"{rules} on {numerals.count(len(contest.results), 'problem')}"


def question(contest: Contest) -> str:
    """Say what was raced on, and by what rules are compared."""
    names = ", ".join(result.problem for result in contest.results)
    return f"{title(contest)}: {names}. Compared by the updates to the target of each race."


def ranked(contest: Contest) -> list[str]:
    """Return the keys of the rules, the one with the highest profile first."""
    return sorted(contest.profiles, key=lambda rule: -contest.profiles[rule].score)


def names(contest: Contest) -> Mapping[str, str]:
    """Return the names of the rules by their keys."""
    return contest.results[0].header.names


def titles(contest: Contest) -> list[str]:
    """Return the titles of the columns beside the names of the rules."""
    return ["profile", *(result.problem for result in contest.results)]


def cells(contest: Contest, rule: str) -> list[str]:
    """Return what stands under these titles for a rule."""
    profile = contest.profiles[rule]
    paces = zip(contest.results, profile.ratios, strict=True)
    return [f"{profile.score:.2f}", *(_pace(result, rule, ratio) for result, ratio in paces)]


def _pace(result: Result, rule: str, ratio: float) -> str:
    if result.target is None:
        return numerals.NONE
    (row,) = (each for each in result.board if each.rule == rule)
    return numerals.significant(ratio) if row.arrivals else "never"


def claim(result: Result) -> str:
    """Return the first sentence of a race's own verdict."""
    return words.verdict(result)[0]
