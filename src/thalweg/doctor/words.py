"""A diagnosis in words, for a terminal, and its sentences for whoever sets them otherwise."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from thalweg.doctor.diagnosis import Diagnosis
from thalweg.doctor.evidence import KINDS
from thalweg.doctor.evidence.evidence import NOT_SEEN
from thalweg.doctor.finding import Finding

WIDTH = 96

NAMED = 8
"""So many places are named at most where one thing was found in several."""

NEEDLESS = {f"{KINDS[kind]}: {NOT_SEEN}" for kind in ("schedulers", "averages")}
"""A training can do without these: where there are none, nothing was left unexamined."""


def report(diagnosis: Diagnosis) -> str:
    """Return the report: findings worst first, remarks, what was not examined, and the costs."""
    return "\n".join(_lines(diagnosis))


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    yield headline(diagnosis)
    for group in groups(diagnosis):
        yield from ("", title(group[0]))
        for sentence in sentences(group, diagnosis):
            yield from _indented(sentence)
    for heading, told in (("Remarks:", remarks(diagnosis)), ("Not examined:", gaps(diagnosis))):
        if told:
            yield from ("", heading)
        for each in told:
            yield from _indented(each)
    yield from ("", *costs(diagnosis))


def headline(diagnosis: Diagnosis) -> str:
    """Say how many findings there are, or that the run is healthy."""
    after = f"after {_count(diagnosis.updates, 'update')}"
    if diagnosis.healthy:
        return f"healthy: nothing wrong was found {after}."
    return f"{_count(len(worse(diagnosis)), 'finding')} {after}, worst first."


def worse(diagnosis: Diagnosis) -> list[Finding]:
    """Return the findings that are worse than a remark, in their order."""
    return [each for each in diagnosis.findings if each.severity != "remark"]


def groups(diagnosis: Diagnosis) -> list[list[Finding]]:
    """Return these findings, those of one code, severity and kind of numbers together."""
    found: dict[tuple[str, ...], list[Finding]] = {}
    for each in worse(diagnosis):
        found.setdefault((each.code, each.severity, *each.numbers), []).append(each)
    return list(found.values())


def title(finding: Finding) -> str:
    """Name a finding, its severity, and where and when it was."""
    return f"{finding.code} {finding.severity}: {finding.name}{place(finding)}"


def place(finding: Finding) -> str:
    """Say where and when a finding was, as far as it says so."""
    where = f" in {finding.where}" if finding.where else ""
    return where + (f" at update {finding.step:,}" if finding.step is not None else "")


def sentences(group: Sequence[Finding], diagnosis: Diagnosis) -> list[str]:
    """Return what was found, what to change, and how sure that is on whose word.

    Of several findings it is that of the first, and where the others are, with what to change
    there where that is something else.
    """
    finding = group[0]
    cause = diagnosis.causes.get(finding.code, "")
    follows = f"It follows from {cause}. " if cause else ""
    return [
        follows + finding.sentence,
        *_likewise(group),
        f"Change: {finding.change}",
        f"Confidence {finding.confidence:.0%}. {finding.reference}",
    ]


def _likewise(group: Sequence[Finding]) -> Iterator[str]:
    first, *others = group
    changes = ["" if each.change == first.change else f" ({each.change})" for each in others]
    told = [place(each).strip() + change for each, change in zip(others, changes, strict=True)]
    if others:
        more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
        yield f"Likewise {', '.join(told[:NAMED])}{more}."


def remarks(diagnosis: Diagnosis) -> list[str]:
    """Return the advice that is no finding."""
    found = (each for each in diagnosis.findings if each.severity == "remark")
    return [f"{each.sentence} {each.change}".strip() for each in found]


def gaps(diagnosis: Diagnosis) -> list[str]:
    """Return what was not examined and why, without codes: these are no findings."""
    reasons = [
        each for each in dict.fromkeys(diagnosis.unexamined.values()) if each not in NEEDLESS
    ]
    failed = [f"failed probe {each.name}: {each.reason}" for each in diagnosis.failed]
    return [*diagnosis.notes, *reasons, *failed]


def costs(diagnosis: Diagnosis) -> list[str]:
    """Say what watching cost during the training, and apart from that at its end."""
    found = diagnosis.costs
    return [
        f"Watching took {found.watching:.2f} s during the training, {found.overhead:.1%} on top of "
        "the training alone,",
        f"and {found.ending:.2f} s at its end, for what was still owed.",
    ]


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
