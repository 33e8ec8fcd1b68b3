"""`thalweg train --parallel` is `parallel.fit`, recorded; what does not go with it is refused."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from commands import check_refused, command_line
from thalweg import cli, parallel, problems, record
from thalweg.parallel import Downpour
from thalweg.parallel.watching import Watch

TOGETHER = ["--parallel", "downpour", "--lr", "0.1", "--epochs", "2"]


thalweg = command_line("train", "digits")


def test_it_trains_as_fit_does_and_records_it(thalweg):
    code, out, notices = thalweg(*TOGETHER, "--workers", "3", "--rule", "adam", "--save", "w.st")
    digits = problems.load("digits")
    expected = parallel.fit(
        digits.make_model(0), digits.loss, digits.train, digits.validation,
        algorithm=Downpour("adam", lr=0.1), workers=3, epochs=2, looks=10,
    )  # fmt: skip
    assert code == 0
    saved = load_file("w.st")
    assert all(torch.equal(saved[k], v) for k, v in expected.model.state_dict().items())
    with record.open() as book:
        (run,) = book.runs()
        points = [event.data for event in book.events(run.id, "parallel")]
    assert (run.kind, run.status, run.hyper["workers"]) == ("parallel", "finished", 3)
    assert points == [point._asdict() for point in expected.history]
    assert f"3 workers came to a loss of {expected.history[-1].valid_loss:.4f}" in out
    assert f"run {run.id}" in out
    assert [line.partition(":")[0] for line in notices.splitlines()] == [
        "3 workers, epoch 1 of 2", "3 workers, epoch 2 of 2"
    ]  # fmt: skip


def test_several_numbers_of_workers_are_trained_in_turn_and_compared(thalweg):
    code, out, notices = thalweg(*TOGETHER, "--workers", "2, 1", "--out", "page.html")
    assert code == 0
    assert "2 workers saw 2.00 times the examples of 1 worker" in out
    assert notices.count("1 worker, epoch") == notices.count("2 workers, epoch") == 2
    assert out.count("Page: ") == 1
    assert "What more workers save" in Path("page.html").read_text("utf-8")
    with record.open() as book:
        kinds = [(run.kind, run.hyper["workers"], run.status) for run in book.runs()]
    assert kinds == [
        ("teams", [1, 2], "finished"), ("parallel", 1, "finished"), ("parallel", 2, "finished")
    ]  # fmt: skip


def test_the_list_of_runs_says_how_many_workers_and_a_run_who_did_what(thalweg, capsys):
    thalweg(*TOGETHER, "--workers", "3", "--batch", "200", "--out", "looks.csv")
    lines = list(csv.DictReader(io.StringIO(Path("looks.csv").read_text("utf-8"))))
    with record.open() as book:
        (run,) = book.runs()
        measured = book.events(run.id, "tally")[0].data["measured"]
    assert sum(count for _, count in measured) == int(lines[-1]["gradients"]) == 12
    for arguments in (["runs"], ["runs", run.id]):
        with suppress(SystemExit):
            cli.main(arguments)
    shown = capsys.readouterr().out
    assert "3 workers" in shown
    assert f"gradients by worker {' '.join(str(count) for _, count in measured)}" in " ".join(
        shown.split()
    )
    assert "updates late" in shown


def test_ctrl_c_keeps_what_was_done_and_says_it(thalweg, monkeypatch):
    heard = Watch.hear

    def hear(self, moment):
        heard(self, moment)
        if moment.gradients == 9:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Watch, "hear", hear)
    code, out, notices = thalweg(*TOGETHER, "--workers", "2,4", "--out", "page.json")
    assert code == 130
    assert "Stopped after 10 of 68 gradients." in notices
    assert "2 workers, interrupted, came to a loss of" in out
    (team,) = json.loads(Path("page.json").read_text("utf-8"))["teams"]
    assert team["status"] == "interrupted"
    assert team["tally"]["undealt"] == 58
    with record.open() as book:
        assert [run.status for run in book.runs()] == ["interrupted"] * 2


@pytest.mark.long
def test_it_trains_on_ray(thalweg):
    pytest.importorskip("ray")
    code, out, notices = thalweg(*TOGETHER, "--engine", "ray")
    assert code == 0, notices
    assert "2 workers came to a loss of" in out
    assert "from the start of the processes" in " ".join(out.split())
    assert notices.count(" seconds, loss") == 2


IN_STEP = ["--parallel", "synchronous", "--lr", "0.1", "--epochs", "2", "--engine", "torch"]


@pytest.mark.long
def test_torchrun_starts_its_workers_and_one_of_them_speaks(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "thalweg", "train", "digits", *IN_STEP], cwd=tmp_path, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=True, timeout=240,
    )  # fmt: skip
    assert done.stdout.count("2 workers came to a loss of") == 1
    assert done.stderr.count(" seconds, loss") == 2
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
        ([*IN_STEP, "--workers", "1,2"], "start torchrun once for each"),
        (["--workers", "1,2"], "--workers is for several workers; add --parallel"),
        ([*TOGETHER, "--workers", "0"], "'0' is not a whole number from 1"),
        ([*TOGETHER, "--workers", "2,1,2"], "'2,1,2' has 2 twice; give each number once."),
        ([*TOGETHER, "--workers", "a,b"], "'a' is not a whole number from 1"),
        ([*TOGETHER, "--workers", "1,"], "'' is not a whole number from 1"),
        ([*TOGETHER, "--workers", "1,2", "--save", "w.st"], "give one number of --workers"),
        ([*TOGETHER, "--out", "page.pdf"], "ends in .pdf, which nothing here is written as"),
        ([*TOGETHER, "--out", "here/page.html"], "there is no folder"),
        ([*TOGETHER, "--out", "x", "--save", "x"], "--out and --save are both"),
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
    check_refused(thalweg(*arguments), message)
