"""A diagnosis in words, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from thalweg.doctor.diagnosis import Diagnosis
from thalweg.doctor.finding import Finding

WIDTH = 96


def report(diagnosis: Diagnosis) -> str:
    """Return the report: findings worst first, remarks, what was not examined, and the costs."""
    return "\n".join(_lines(diagnosis))


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    yield _headline(diagnosis)
    for finding in diagnosis.findings:
        if finding.severity != "remark":
            yield ""
            yield from _finding(finding, diagnosis.causes.get(finding.code, ""))
    yield from _remarks(diagnosis)
    yield from _gaps(diagnosis)
    yield from ("", _cost(diagnosis))


def _headline(diagnosis: Diagnosis) -> str:
    after = f"after {_count(diagnosis.updates, 'update')}"
    if diagnosis.healthy:
        return f"healthy: nothing wrong was found {after}."
    found = [each for each in diagnosis.findings if each.severity != "remark"]
    return f"{_count(len(found), 'finding')} {after}, worst first."


def _finding(finding: Finding, cause: str) -> Iterator[str]:
    where = f" in {finding.where}" if finding.where else ""
    when = f" at update {finding.step:,}" if finding.step is not None else ""
    yield f"{finding.code} {finding.severity}: {finding.name}{where}{when}"
    follows = f"It follows from {cause}. " if cause else ""
    yield from _indented(follows + finding.sentence)
    yield from _indented(f"Change: {finding.change}")
    yield from _indented(f"Confidence {finding.confidence:.0%}. {finding.reference}")


def _remarks(diagnosis: Diagnosis) -> Iterator[str]:
    remarks = [each for each in diagnosis.findings if each.severity == "remark"]
    if remarks:
        yield from ("", "Remarks:")
    for each in remarks:
        yield from _indented(f"{each.sentence} {each.change}".strip())


def _gaps(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield what was not examined, without codes: these are no findings."""
    if diagnosis.unexamined or diagnosis.failed:
        yield from ("", "Not examined:")
    for reason in dict.fromkeys(diagnosis.unexamined.values()):
        yield from _indented(reason)
    for probe in diagnosis.failed:
        yield from _indented(f"failed probe {probe.name}: {probe.reason}")


def _cost(diagnosis: Diagnosis) -> str:
    costs = diagnosis.costs
    return (
        f"Watching took {costs.watching:.2f} s of the run ({costs.overhead:.1%} over the training "
        f"alone), and {costs.ending:.2f} s at its end."
    )


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
