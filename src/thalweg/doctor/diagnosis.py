"""A diagnosis is what all checks make of the evidence, worst first, causes before consequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from thalweg.doctor.check import Check, catalogue
from thalweg.doctor.evidence import Costs, Evidence, FailedProbe
from thalweg.doctor.finding import SEVERITIES, Finding


@dataclass(frozen=True)
class Diagnosis:
    """The findings in their order, what could not be examined and why, and the costs.

    *causes* has, for the code of each consequence, the code of the finding that explains it.
    """

    findings: Sequence[Finding] = ()
    causes: Mapping[str, str] = field(default_factory=dict)
    unexamined: Mapping[str, str] = field(default_factory=dict)
    failed: Sequence[FailedProbe] = ()
    updates: int = 0
    costs: Costs = field(default_factory=Costs)
    notes: Sequence[str] = ()

    @property
    def healthy(self) -> bool:
        """Whether there is nothing worse than a remark."""
        return all(each.severity == "remark" for each in self.findings)


def diagnose(evidence: Evidence, checks: Iterable[Check] | None = None) -> Diagnosis:
    """Let *checks*, by default all, look at the evidence.

    A check that fails is a failed probe, as one that measures is.
    """
    checks = tuple(catalogue().values() if checks is None else checks)
    findings: list[Finding] = []
    failed = list(evidence.failed)
    for each in checks:
        try:
            findings += each(evidence)
        except Exception as error:
            failed.append(FailedProbe.of(each.name, error))
    causes = causes_among(findings, checks)
    unexamined = {each.code: each.lacks(evidence) for each in checks if each.lacks(evidence)}
    ordered = in_order(findings, causes)
    return Diagnosis(
        ordered, causes, unexamined, failed, evidence.updates, evidence.costs, evidence.notes
    )


def causes_among(findings: Iterable[Finding], checks: Iterable[Check]) -> dict[str, str]:
    """Return the code of the cause for each code that another finding explains.

    What a finding explains by its own numbers counts before what its check explains at all times.
    """
    shown = [each for each in findings if each.severity != "remark"]
    there, causes = {each.code for each in shown}, dict[str, str]()
    explaining: list[Finding | Check] = [*shown, *checks]
    for each in explaining:
        for code in each.explains:
            if {code, each.code} <= there and root(each.code, causes) != code:
                causes.setdefault(code, each.code)
    return causes


def root(code: str, causes: Mapping[str, str]) -> str:
    """Return the code at the beginning of the chain of causes."""
    while code in causes:
        code = causes[code]
    return code


def in_order(findings: Sequence[Finding], causes: Mapping[str, str]) -> list[Finding]:
    """Return findings worst first; a cause is as bad as the worst of what follows from it."""
    worst: dict[str, tuple[int, float]] = {}
    for each in findings:
        key = root(each.code, causes)
        worst[key] = min(worst.get(key, _badness(each)), _badness(each))

    def place(each: Finding) -> tuple:
        origin = root(each.code, causes)
        return (*worst[origin], origin, each.code != origin, _badness(each), each.code)

    return sorted(findings, key=place)


def _badness(finding: Finding) -> tuple[int, float]:
    """Return what sorts findings, the worst first."""
    return SEVERITIES.index(finding.severity), -finding.confidence
