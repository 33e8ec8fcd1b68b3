"""Who trains on Ray is told what a worker that died has taken with it."""

import os
import re

import pytest

from thalweg import cli

PROBLEM = """
import os
import signal
from pathlib import Path

import torch

x = torch.randn(320, 3, generator=torch.Generator().manual_seed(0))
y = (x.sum(1) > 0).long()
train, valid = (x[:300], y[:300]), (x[300:], y[300:])
batch, epochs = 10, 2
calls = 0


def model():
    return torch.nn.Linear(3, 2)


def loss(output, targets):
    global calls
    calls += 1
    if os.environ["TRAINER"] != str(os.getpid()) and calls == 3:
        try:
            Path(__file__).with_name("struck").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return torch.nn.functional.cross_entropy(output, targets)
"""


@pytest.mark.long
def test_the_summary_says_how_many_gradients_were_lost(capsys, tmp_path, monkeypatch):
    """The worker that is the first to come to its third batch dies with it."""
    pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINER", str(os.getpid()))
    (tmp_path / "mortal_problem.py").write_text(PROBLEM)
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "mortal_problem.py", "--parallel", "downpour", "--engine", "ray"])
    out, notices = capsys.readouterr()
    assert not caught.value.code, notices
    assert (tmp_path / "struck").exists()
    assert "lost gradients 1" in out
    assert re.search(r"\n +2 +59 +59 +0 +1 ", out), "gradients, pushes applied, refused, lost"
