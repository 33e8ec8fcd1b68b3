"""The report: worst first, consequences beneath their cause, and "healthy" in so many words."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from thalweg.doctor import Check, Diagnosis, Evidence, Finding, diagnose
from thalweg.doctor.check import check
from thalweg.doctor.evidence import Costs, Step
from thalweg.doctor.finding import Severity, change
from thalweg.doctor.words import report
from thalweg.errors import BadValue, UnknownName
from watched import train

SEEN = Evidence(steps=[Step(1, 0.5, (0.1,)), Step(2, 0.4, (0.1,))])
WORDS = dict.fromkeys(("finds", "why", "fix", "reference"), "words")


def finder(code: str, severity: Severity, confidence: float = 0.9, explains: str = "") -> Check:
    def examine(seen: Evidence) -> Iterator[Finding]:
        yield Finding(severity, confidence, f"sentence of {code}.", "lr=1 → 2")

    explained = (explains,) if explains else ()
    page = {"code": code, "name": f"name {code}", "needs": ("losses",), "explains": explained}
    return check(**page, **WORDS)(examine)


def failing(seen: Evidence) -> Iterator[Finding]:
    raise ZeroDivisionError("no result, an error")
    yield


def codes(*checks: Check) -> list[str]:
    return [each.code for each in diagnose(SEEN, checks).findings]


def test_findings_come_worst_first_and_surest_first() -> None:
    weak, sure = finder("GD901", "warning", 0.6), finder("GD902", "warning", 0.9)
    assert codes(finder("GD900", "remark"), weak, sure, finder("GD903", "error", 0.1)) == [
        "GD903", "GD902", "GD901", "GD900",
    ]  # fmt: skip


def test_a_cause_stands_before_a_worse_consequence_and_before_all_that_is_less_bad() -> None:
    cause = finder("GD904", "warning", explains="GD903")
    found = diagnose(SEEN, [finder("GD902", "warning"), finder("GD903", "error"), cause])
    assert [each.code for each in found.findings] == ["GD904", "GD903", "GD902"]
    assert found.causes == {"GD903": "GD904"}
    assert "It follows from GD904." in report(found)


def test_two_that_explain_each_other_do_not_run_in_a_circle() -> None:
    one, other = finder("GD901", "error", explains="GD902"), finder("GD902", "error", 0.8, "GD901")
    assert codes(one, other) == ["GD901", "GD902"]


def test_a_healthy_report_has_neither_code_nor_the_word_error() -> None:
    text = report(diagnose(SEEN, [finder("GD901", "remark")]))
    assert text.startswith("healthy")
    assert "sentence of" in text.replace("GD901", "")
    assert "error" not in text.lower()


def test_a_check_that_fails_is_a_failed_probe() -> None:
    broken = check(code="GD909", name="broken", needs=("losses",), **WORDS)(failing)
    found = diagnose(SEEN, [broken])
    assert found.healthy
    assert "failed probe broken" in report(found)
    assert "zero division: no result" in report(found)
    assert "error" not in report(found).lower()


def test_what_could_not_be_examined_is_said_with_its_reason() -> None:
    text = train(loss_fn=None).report()
    assert text.startswith("healthy")
    assert "Watching took" in text


def test_what_a_training_can_do_without_is_not_missed() -> None:
    needing = {
        kind: check(code=code, name=kind, needs=(kind,), **WORDS)(failing)
        for code, kind in (("GD908", "averages"), ("GD909", "validation"))
    }
    told = report(diagnose(SEEN, needing.values()))
    assert "the loss on held-out data, called without gradient: nothing of it was seen" in told
    assert "averages" not in told


def test_one_thing_in_many_places_is_told_once_with_what_differs() -> None:
    def finding(where: str, change: str, **numbers: float) -> Finding:
        return Finding("warning", 0.9, f"{where} is slow.", change, numbers, where, code="GD901")

    found = [finding(f"layer {k}", f"lr → {min(k, 1)}", ratio=k) for k in range(12)]
    told = report(Diagnosis([*found, finding("elsewhere", "lr → 1", offset=3)]))
    assert told.count("is slow") == 2
    assert "layer 0 is slow.\n  Likewise in layer 1 (lr → 1), in layer 2 (lr → 1)" in told
    assert "in layer 8 (lr → 1) and 3 more." in " ".join(told.split())
    assert "elsewhere is slow." in told


def test_both_costs_are_told_apart() -> None:
    found = replace(SEEN, costs=Costs(run=2.1, watching=0.1, ending=1.5))
    *_, during, after = report(diagnose(found)).splitlines()
    assert "0.10 s during the training, 5.0%" in during
    assert "1.50 s at its end" in after


def test_a_change_reads_as_it_is_typed() -> None:
    assert change("lr", 0.03, 0.004) == "lr=0.03 → 0.004"


def test_a_finding_with_another_severity_or_confidence_is_refused() -> None:
    with pytest.raises(UnknownName, match="grave"):
        Finding("grave", 0.5, "", "")  # type: ignore[arg-type]
    with pytest.raises(BadValue, match="confidence"):
        Finding("error", 1.5, "", "")


def test_what_a_finding_explains_by_its_numbers_counts_before_what_checks_explain() -> None:
    def examine(seen: Evidence) -> Iterator[Finding]:
        yield Finding("warning", 0.9, "a cut.", "lr=1 → 2", explains=("GD901",))

    own = check(code="GD902", name="own", needs=("losses",), **WORDS)(examine)
    found = diagnose(SEEN, [finder("GD901", "error", explains="GD902"), own])
    assert [each.code for each in found.findings] == ["GD902", "GD901"]
    assert found.causes == {"GD901": "GD902"}
