"""The doctor is held against a bank of trainings that are known to be ill or healthy."""

import re
from importlib import import_module
from typing import Any

import pytest

from thalweg.doctor import catalogue

bank: Any = import_module("benchmarks.bank")
RUNS = bank.runs()
FAULTY = [each for each in RUNS if not each.healthy]
HEALTHY = [each for each in RUNS if each.healthy]


def test_every_check_has_a_run_that_expects_it() -> None:
    assert {each.codes[0] for each in FAULTY} >= set(catalogue())
    assert (len(FAULTY) >= 45, len(HEALTHY) >= 20) == (True, True)


def test_runs_are_told_apart_by_their_names() -> None:
    assert len({each.name for each in RUNS}) == len(RUNS)
    assert all(each.story.endswith(".") for each in RUNS)


def test_a_run_can_be_told_to_expect_several_codes_only_with_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        bank.faulty("GD202", "GD203")


@pytest.fixture(scope="module")
def verdicts() -> list[Any]:
    return [bank.judge(each) for each in RUNS]


@pytest.mark.long
@pytest.mark.timeout(1200)
class TestDoctor:
    def test_it_puts_the_right_code_first_in_nine_of_ten_faulty_runs(
        self, verdicts: list[Any]
    ) -> None:
        right = [each.right for each in verdicts if not each.run.healthy]
        assert sum(right) >= 0.9 * len(right), bank.summary(verdicts)

    def test_it_finds_no_error_in_a_healthy_run(self, verdicts: list[Any]) -> None:
        wrong = [each.run.name for each in well(verdicts) if "error" in each.severities]
        assert wrong == []

    def test_it_warns_of_one_healthy_run_in_twenty_at_most(self, verdicts: list[Any]) -> None:
        warned = [each.run.name for each in well(verdicts) if each.found]
        assert len(warned) <= 0.05 * len(well(verdicts)), warned

    def test_its_report_of_a_healthy_run_says_healthy_and_names_no_code(
        self, verdicts: list[Any]
    ) -> None:
        reports = [each.report for each in well(verdicts) if each.right]
        assert all(each.startswith("healthy") for each in reports)
        assert not any(re.search(r"GD\d|\berrors?\b", each) for each in reports)


def well(verdicts: list[Any]) -> list[Any]:
    return [each for each in verdicts if each.run.healthy]
