"""A race as data: everything is in it, every program can read it, and a repeated race gives it."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from races import raced
from thalweg.racing import Result, race
from thalweg.report import page


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def as_json(result: Result, folder: Path) -> Any:
    return json.loads(text(result, folder, "json"), parse_constant=refuse)


def as_csv(result: Result, folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(result, folder, "csv"))))


def text(result: Result, folder: Path, ending: str) -> str:
    return page(result, folder / f"race.{ending}").read_text(encoding="utf-8")


def without_seconds(written: str) -> str:
    return re.sub(r'"seconds": [0-9.e-]+', "", written)


@pytest.fixture(scope="module")
def result() -> Result:
    return raced(
        "sgd", "adam", failing=[("adam", 3)], target=0.12, search=("lr", "beta1"), best=1.1
    )


def test_json_holds_the_conditions_the_verdict_and_every_run(
    result: Result, tmp_path: Path
) -> None:
    data = as_json(result, tmp_path)
    assert data["verdict"] == result.verdict
    assert data["target"] == 0.12
    assert data["header"]["terms"]["trials"] == 4
    assert data["header"]["versions"] == result.header.versions
    assert data["extended"] == [list(each) for each in result.extended] != []
    began, ended = data["header"]["spaces"]["adam"][0], data["spaces"]["adam"][0]
    assert began["name"] == ended["name"] == "lr"
    assert ended["high"] > began["high"] == result.header.spaces["adam"].axes[0].high
    assert len(data["runs"]) == len(result.runs)


def test_json_keeps_every_number_of_a_curve(result: Result, tmp_path: Path) -> None:
    for run, written in zip(result.runs, as_json(result, tmp_path)["runs"], strict=True):
        assert written["setting"] == run.task.setting
        losses = [float(each) for each in written["curve"]["validation_loss"]]
        assert losses == [epoch.validation_loss for epoch in run.curve]


def test_json_writes_a_failure_as_inf_and_what_there_is_not_as_null(tmp_path: Path) -> None:
    failing = [("adam", seed) for seed in range(7)]
    data = as_json(raced("sgd", "adam", failing=failing, classes=False), tmp_path)
    adam = next(row for row in data["board"] if row["rule"] == "adam")
    assert adam["losses"] == ["inf"] * 6
    assert adam["median"] == {"value": "inf", "low": "inf", "high": "inf"}
    assert data["runs"][0]["curve"]["validation_accuracy"] == [None] * 5
    assert data["target"] is None
    assert data["runs"][0]["updates_to_target"] is None


def test_csv_has_a_line_for_each_run(result: Result, tmp_path: Path) -> None:
    lines = as_csv(result, tmp_path)
    assert list(lines[0]) == [
        "phase", "rule", "lr", "beta1", "seed", "validation_loss", "validation_accuracy",
        "test_loss", "test_accuracy", "updates_to_target", "seconds",
    ]  # fmt: skip
    for run, line in zip(result.runs, lines, strict=True):
        assert (line["phase"], line["rule"]) == (run.task.phase, run.task.rule)
        assert int(line["seed"]) == run.task.seed
        assert float(line["validation_loss"]) == run.loss
        assert float(line["lr"]) == run.task.setting["lr"]
        assert (line["test_loss"] == "") == (run.task.phase != "final")
    assert {line["beta1"] for line in lines if line["rule"] == "sgd"} == {""}
    failed = next(line for line in lines if line["rule"] == "adam" and line["seed"] == "3")
    assert failed["validation_loss"] == failed["updates_to_target"] == "inf"


def test_csv_of_a_race_by_errors_has_them(tmp_path: Path) -> None:
    found = raced("sgd", metric="error")
    errors = [float(line["validation_error"]) for line in as_csv(found, tmp_path)]
    assert errors == [1 - run.accuracy for run in found.runs]


def test_times_to_the_target_are_those_of_the_board(result: Result, tmp_path: Path) -> None:
    lines = [line for line in as_csv(result, tmp_path) if line["phase"] == "final"]
    for row in result.board:
        mine = [float(line["updates_to_target"]) for line in lines if line["rule"] == row.rule]
        assert mine == list(row.times)
    assert {line["updates_to_target"] for line in lines} == {"35.0", "inf"}


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_only_times_differ_between_equal_races(ending: str, tmp_path: Path) -> None:
    first, second = (
        text(raced("sgd", "adam", reference="adamw", seconds=seconds), tmp_path, ending)
        for seconds in (0.25, 1e-05)
    )
    assert first != second
    if ending == "json":
        assert without_seconds(first) == without_seconds(second)
    else:
        assert re.sub(r",[^,]*\n", "\n", first) == re.sub(r",[^,]*\n", "\n", second)


def test_a_repeated_race_gives_the_same_bytes_apart_from_times(tmp_path: Path) -> None:
    few: dict[str, Any] = {"trials": 2, "seeds": 2, "epochs": 1}
    first, second = (
        text(race("digits", ["sgd"], reference=None, **few), tmp_path, "json") for _ in range(2)
    )
    assert first.count('"seconds": ') == second.count('"seconds": ') > 0
    assert without_seconds(first) == without_seconds(second)


def test_the_ending_may_be_in_capitals(result: Result, tmp_path: Path) -> None:
    written = page(result, tmp_path / "race.JSON").read_text(encoding="utf-8")
    assert json.loads(written)["verdict"] == result.verdict
