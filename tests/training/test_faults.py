"""However often and whenever a training is killed, it ends as if it never had been."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
from faults import STAGES

KILLS = 50

Ask = Callable[[Path, str], str]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Ask a process that forks trainings how one of them ends."""
    command = [sys.executable, str(Path(__file__).with_name("faults.py"))]
    with subprocess.Popen(command, text=True, stdin=PIPE, stdout=PIPE) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None
        assert answers is not None

        def call(folder: Path, plan: str) -> str:
            print(folder, plan, file=questions, flush=True)
            return answers.readline().strip()

        yield call
        questions.close()


def plans(chance: random.Random) -> Iterator[str]:
    """Moments to be killed at: anywhere, and inside the writing of a checkpoint, in turns."""
    while True:
        yield f"time {chance.uniform(0.02, 0.3):.3f}"
        yield f"write {chance.randint(1, 4)} {chance.randrange(len(STAGES))}"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_fifty_kills_change_no_bit_and_lose_or_double_no_event(ask, tmp_path) -> None:
    straight = ask(tmp_path / "straight", "whole")
    assert len(straight) == 64
    kills, trainings, moments = 0, 0, plans(random.Random(0))
    while kills < KILLS:
        trainings += 1
        folder = tmp_path / str(trainings)
        while (end := ask(folder, next(moments))) == "killed":
            kills += 1
        assert end == straight, f"training {trainings}, after {kills} kills"
    assert trainings > 1


@pytest.mark.parametrize("stage", range(len(STAGES)), ids=STAGES)
def test_a_kill_inside_the_writing_of_a_checkpoint_costs_nothing(stage, ask, tmp_path) -> None:
    assert ask(tmp_path / "killed", f"write 3 {stage}") == "killed"
    assert ask(tmp_path / "killed", "whole") == ask(tmp_path / "straight", "whole")
