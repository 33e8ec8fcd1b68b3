"""What a race is about to do: a new one, or a recorded one that goes on as it was begun."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from thalweg.errors import BadValue
from thalweg.optim.optimizer import fingerprint
from thalweg.problems import Problem
from thalweg.racing.plan import Plan, choose, prepare
from thalweg.racing.result import Header, Terms
from thalweg.racing.written import header_of
from thalweg.record import RunSummary
from thalweg.rules import Rule
from thalweg.training.study.plan import digest


def settle(
    earlier: RunSummary | None, problem: Problem, rules: Iterable[str | Rule] | None,
    asked: Mapping[str, Any],
) -> Plan:  # fmt: skip
    """Return the plan of a new race, or of an earlier one with the header it was begun with.

    *asked* has what is asked for: terms by their names, and ``memory``; the rest has defaults. Of
    an earlier race, BadValue is raised for anything else than it was begun with, and where the
    problem, a rule or a version has changed.
    """
    if earlier is not None:
        return _again(earlier, problem, rules, asked)
    terms = Terms(**{name: value for name, value in asked.items() if name != "memory"})
    return prepare(problem, rules, terms, asked.get("memory"))


def _again(
    earlier: RunSummary, problem: Problem, rules: Iterable[str | Rule] | None,
    asked: Mapping[str, Any],
) -> Plan:  # fmt: skip
    header, chosen = header_of(earlier), () if rules is None else choose(rules)
    begun = {**asdict(header.terms), "memory": earlier.hyper["memory"], "rules": set(header.rules)}
    _check_asked(begun, {**asked, **({"rules": {rule.key for rule in chosen}} if chosen else {})})
    given = {rule.key: rule for rule in chosen}
    racing = [given.get(key, key) for key in header.rules]
    plan = prepare(problem, racing, header.terms, begun["memory"])
    _check_unchanged(plan, earlier, header)
    return replace(plan, header=header)


def told(plan: Plan) -> dict[str, Any]:
    """Return what the numbers depend on beside the header, as JSON can hold it."""
    return {
        "memory": plan.memory,
        "data": [digest(plan.problem.train), digest(plan.problem.validation)],
        "sources": sources(plan),
    }


def sources(plan: Plan) -> dict[str, str]:
    """Return what tells one text of each rule from another, by its key."""
    return {key: fingerprint(rule) for key, rule in plan.rules.items()}


def _check_asked(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    for name, value in asked.items():
        if value != begun[name]:
            raise BadValue(
                f"the race to be resumed was begun with {name} {_shown(begun[name])}, and "
                f"{_shown(value)} was asked for. Leave it out, or begin anew without resuming."
            )


def _check_unchanged(plan: Plan, earlier: RunSummary, before: Header) -> None:
    """Refuse to mix two texts, two sets of data or two versions in one race."""
    now = told(plan)
    if plan.header.digest != before.digest:
        raise _changed(f"The text of {before.problem}.py")
    if now["data"] != earlier.hyper["data"]:
        raise _changed(f"The data of {before.problem}")
    for key, source in now["sources"].items():
        if source != earlier.hyper["sources"].get(key):
            raise _changed(f"The rule {key!r}")
    for name in (field.name for field in fields(Header)):
        old, new = getattr(before, name), getattr(plan.header, name)
        if new != old:
            raise _changed(f"{name} ({_shown(old)} then, {_shown(new)} now)")


def _changed(what: str) -> BadValue:
    return BadValue(
        f"{what} changed since the race began, so that old and new runs cannot be compared. Go "
        "back to what it was, or begin anew without resuming."
    )


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, (set, tuple, list)):
        return ",".join(sorted(map(str, value)))
    return "none" if value is None else str(value)
