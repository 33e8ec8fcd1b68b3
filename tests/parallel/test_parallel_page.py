"""The page on parallel training says what is so: its programs run, its tables are complete."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from thalweg.parallel import Fault, Tally, catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "parallel.md").read_text(encoding="utf-8")


BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_its_programs_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in BLOCKS:
        if "RayEngine" not in block and "TorchEngine" not in block:
            exec(block, names)
    shown = capsys.readouterr().out
    assert "applied\nduplicate\ntensor([-0.5000" in shown
    assert isinstance(names["faults"][0], Fault)
    assert "Loss against examples" in Path("workers.html").read_text(encoding="utf-8")


@pytest.mark.long
def test_its_program_on_ray_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    (block,) = [block for block in BLOCKS if "RayEngine" in block]
    names: dict = {}
    for each in (BLOCKS[0], block):
        exec(each, names)
    assert "'applied'>: 102}" in capsys.readouterr().out
    assert names["on_ray"].history[-1].valid_accuracy > 0.9


@pytest.mark.long
def test_its_program_for_torchrun_runs(tmp_path: Path) -> None:
    (block,) = [block for block in BLOCKS if "TorchEngine" in block]
    program = tmp_path / "train.py"
    program.write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(program)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
        timeout=240,
    )  # fmt: skip
    accuracy, _, receipts = done.stdout.partition(" ")
    assert float(accuracy) > 0.9
    assert receipts.endswith("'applied'>: 102}\n")


def test_its_table_has_every_algorithm() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", PAGE, re.MULTILINE))
    assert list(rows) == list(catalogue)


def test_its_table_has_everything_that_is_counted() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| [a-z]", PAGE, re.MULTILINE)
    counted = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {field.name for field in fields(Tally)} - counted == {"receipts", "staleness"}
