"""`thalweg train --parallel` is `parallel.fit`, recorded; what does not go with it is refused."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from thalweg import cli, parallel, problems, record
from thalweg.parallel import Downpour

TOGETHER = ["--parallel", "downpour", "--lr", "0.1", "--epochs", "2"]


@pytest.fixture
def thalweg(capsys, tmp_path, monkeypatch):
    """Run `thalweg train digits` in an empty folder; return exit code, output, notices."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            cli.main(["train", "digits", *arguments])
        return int(caught.value.code or 0), *capsys.readouterr()

    return call


def test_it_trains_as_fit_does_and_records_it(thalweg):
    code, out, notices = thalweg(*TOGETHER, "--workers", "3", "--rule", "adam", "--save", "w.st")
    digits = problems.load("digits")
    expected = parallel.fit(
        digits.make_model(0), digits.loss, digits.train, digits.validation,
        algorithm=Downpour("adam", lr=0.1), workers=3, epochs=2,
    )  # fmt: skip
    assert code == 0
    saved = load_file("w.st")
    assert all(torch.equal(saved[k], v) for k, v in expected.model.state_dict().items())
    with record.open() as book:
        (run,) = book.runs()
        points = [event.data for event in book.events(run.id, "parallel")]
    assert (run.kind, run.status, run.hyper["workers"]) == ("parallel", "finished", 3)
    assert points == [point._asdict() for point in expected.history]
    assert f"pushes applied {expected.tally.receipts.total()}" in out
    assert notices.count("virtual seconds: loss") == 2


@pytest.mark.long
def test_it_trains_on_ray(thalweg):
    pytest.importorskip("ray")
    code, out, notices = thalweg(*TOGETHER, "--engine", "ray")
    assert code == 0, notices
    assert "pushes applied 68" in out
    assert notices.count(" seconds: loss") == 2


IN_STEP = ["--parallel", "synchronous", "--lr", "0.1", "--epochs", "2", "--engine", "torch"]


@pytest.mark.long
def test_torchrun_starts_its_workers_and_one_of_them_speaks(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "thalweg", "train", "digits", *IN_STEP], cwd=tmp_path, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=True, timeout=240,
    )  # fmt: skip
    assert done.stdout.count("pushes applied 68") == 1
    assert done.stderr.count(" seconds: loss") == 2
    with record.open(tmp_path / "thalweg.db") as book:
        (run,) = book.runs()
    assert (run.kind, run.status, run.hyper["workers"]) == ("parallel", "finished", 2)


def test_the_command_that_starts_processes_is_said(thalweg, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["thalweg", "train", "digits", *IN_STEP])
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    code, _, notices = thalweg(*IN_STEP)
    assert code == 2
    assert f"\ntorchrun --nproc-per-node 2 -m thalweg train digits {' '.join(IN_STEP)}\n" in notices


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "3"], "--workers is for several workers; add --parallel"),
        (["--engine", "ray"], "--engine is for several workers"),
        (["--parallel", "downpuor"], "Did you mean 'downpour'?"),
        ([*TOGETHER, "--engine", "rya"], "Did you mean 'ray'?"),
        ([*TOGETHER, "--schedule", "cosine"], "--schedule does not go with --parallel downpour"),
        ([*TOGETHER, "--resume"], "--resume does not go with --parallel downpour"),
        ([*TOGETHER, "--checkpoints", "here"], "--checkpoints does not go with"),
        ([*TOGETHER, "--lr", "0.1,0.2"], "--lr has several rates"),
        ([*TOGETHER, "--ray", "10.0.0.5:6379"], "--ray needs --checkpoints FOLDER"),
        (
            [*IN_STEP, "--ray", "10.0.0.5:6379", "--checkpoints", "here"],
            "--ray names a cluster, --engine torch has none",
        ),
        (["--parallel", "easgd", "--rule", "adam"], "--rule does not go with --parallel easgd"),
    ],
)
def test_a_bad_request_is_answered_in_one_message_with_exit_code_2(thalweg, arguments, message):
    code, out, notices = thalweg(*arguments)
    assert code == 2
    assert message in " ".join(notices.replace("│", " ").split())
    assert "Traceback" not in notices
    assert out == ""
