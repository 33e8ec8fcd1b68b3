"""The examples of docs/hosts.md run as they stand."""

import re
from pathlib import Path
from typing import Any

import pytest
from surroundings import alone as alone

PAGE = (Path(__file__).parents[2] / "docs" / "hosts.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)$\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))
NEEDS = {
    "A plain loop": (),
    "Lightning": ("lightning",),
    "The Trainer of transformers": ("transformers", "accelerate"),
    "Under watch": ("lightning",),
}


def run(section: str) -> dict[str, Any]:
    """The names that the section's one block leaves behind."""
    for each in NEEDS[section]:
        pytest.importorskip(each, reason=f"needs {each}: pip install '.[hosts]'")
    (block,) = re.findall(r"^```python\n(.*?)^```$", SECTIONS[section], re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(compile(block, f"hosts.md, {section}", "exec"), names)
    return names


def test_every_section_is_run() -> None:
    assert SECTIONS.keys() == NEEDS.keys()


def test_the_plain_loop_trains() -> None:
    names = run("A plain loop")
    (group,) = names["optimizer"].param_groups
    assert names["loss"] < 0.2
    assert group["weight_decay"] == 0.0


def test_the_lightning_example_trains() -> None:
    trainer = run("Lightning")["trainer"]
    assert trainer.global_step == 16
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_the_trainer_example_trains_and_leaves_its_folder_empty() -> None:
    names = run("The Trainer of transformers")
    assert names["trainer"].state.global_step == 16
    assert names["optimizer"].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)
    Path("runs").rmdir()


def test_the_watched_example_reports_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = run("Under watch")["trainer"]
    (callback,) = [each for each in trainer.callbacks if hasattr(each, "findings")]
    assert callback.watch.evidence.updates == 16
    assert callback.report() in capsys.readouterr().out
