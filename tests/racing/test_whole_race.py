"""The main job from end to end, as a newcomer runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.racing.plan import usual

DATA = Path(os.environ.get("THALWEG_DATA") or Path(__file__).parents[3] / "shared" / "data")


def _race(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "thalweg", "race", *arguments],
        cwd=folder, env={**os.environ, "THALWEG_DATA": str(DATA), "COLUMNS": "100"},
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _accuracies(table: str) -> dict[str, float]:
    """The accuracy of each rule on the board, by its name."""
    found = re.findall(r"^(\w+) .* ([\d.]+)%", table, re.MULTILINE)
    return {name: float(accuracy) for name, accuracy in found}


@pytest.mark.long
def test_every_rule_learns_the_digits(tmp_path):
    amounts = ("--trials", "4", "--seeds", "6")
    accuracies = _accuracies(_race(tmp_path, *amounts))
    assert set(accuracies) == {rule.name for rule in usual()}
    assert all(value > 85 for value in accuracies.values())
    assert (tmp_path / "race.html").stat().st_size > 100_000


@pytest.mark.long
@pytest.mark.skipif(not (DATA / "mnist.npz").exists(), reason=f"no mnist.npz in {DATA}")
def test_one_epoch_of_mnist_is_enough_to_read_most_digits(tmp_path):
    terms = ("--rules", "adam,momentum", "--trials", "4", "--seeds", "1", "--epochs", "1")
    accuracies = _accuracies(_race(tmp_path, "mnist", *terms, "--reference", "adam"))
    assert set(accuracies) == {"Adam", "Momentum"}
    assert all(value > 90 for value in accuracies.values())
