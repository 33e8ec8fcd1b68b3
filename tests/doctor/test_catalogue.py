"""What holds of every check: a page in full, one file each, and calm where nothing was seen."""

import re
from pathlib import Path

import pytest

from thalweg.doctor import Check, Evidence, catalogue, checks, find_check
from thalweg.doctor.evidence import KINDS
from thalweg.errors import UnknownName

FILES = sorted(Path(checks.__path__[0]).glob("gd*.py"))
every_check = pytest.mark.parametrize("check", catalogue().values(), ids=list(catalogue()))


def test_every_file_holds_the_one_check_that_it_is_named_after() -> None:
    assert [path.stem.partition("_")[0].upper() for path in FILES] == list(catalogue())


@every_check
def test_its_page_says_all_there_is_to_say(check: Check) -> None:
    assert re.fullmatch(r"GD[1-5]\d\d", check.code)
    headings = re.findall(r"^## (.*)$", check.page, re.MULTILINE)
    assert headings == [
        "What it finds", "Why is this bad?", "Evidence it needs", "Thresholds", "How to fix it",
        "References",
    ]  # fmt: skip
    assert all(len(text) > 30 for text in (check.finds, check.why, check.fix, check.reference))
    assert check.needs
    assert {*check.needs, *check.glances} <= set(KINDS)


@every_check
def test_it_finds_nothing_where_nothing_was_seen(check: Check) -> None:
    assert check(Evidence()) == []
    assert check.lacks(Evidence())


@every_check
def test_its_thresholds_are_numbers_that_can_be_set(check: Check) -> None:
    assert all(isinstance(each, (int, float)) for each in check.thresholds.values())
    assert check(Evidence(), **check.thresholds) == []


def test_a_check_is_found_by_its_code_in_any_letters() -> None:
    assert find_check("gd301").name == "dead ReLU"
    with pytest.raises(UnknownName, match="GD999"):
        find_check("GD999")
