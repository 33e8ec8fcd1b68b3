"""`thalweg train` trains, records and draws; stopped anywhere, it goes on with --resume."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from commands import check_refused, command_line
from thalweg import record
from thalweg.training import Checkpoints, load_ensemble

PROBLEM = """
'''Which side of a line a point is on.'''
import os
import time
import torch
from torch import nn

generator = torch.Generator().manual_seed(0)
inputs = torch.randn(360, 4, generator=generator)
targets = (inputs.sum(1) > 0).long()
train, valid = (inputs[:240], targets[:240]), (inputs[240:300], targets[240:300])
test = inputs[300:], targets[300:]
batch, epochs = 8, 3


class Slow(nn.Module):
    def forward(self, inputs):
        time.sleep(float(os.environ.get("SLOW", 0)))
        return inputs


def model():
    return nn.Sequential(Slow(), nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
"""


command = command_line("train")


@pytest.fixture
def thalweg(command):
    """Run the command line in a folder with a problem file; return code, output and notices."""
    Path("line.py").write_text(PROBLEM)
    return command


def runs(kind: str | None = None) -> list:
    with record.open() as book:
        return book.runs(kind)


def told(id: str) -> list:
    """What a run says of its updates and epochs; the seconds are its own."""
    with record.open() as book:
        events = [event for event in book.events(id) if event.name != "resumed"]
    for event in events:
        (event.data or {}).pop("seconds", None)
    return [(event.name, event.step, event.value, event.data) for event in events]


def last(run: Any) -> dict:
    """The state in the last checkpoint of a run, without what differs between equal runs."""
    state = Checkpoints(Path("checkpoints", run.id)).load()
    assert state is not None
    return {**state["model"], "update": torch.tensor(state["place"]["update"])}


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def started(*arguments: str, slow: float) -> subprocess.Popen:
    """Start a training that takes its time, and wait for its first checkpoint."""
    process = subprocess.Popen(
        [sys.executable, "-m", "thalweg", "train", *arguments],
        env={**os.environ, "SLOW": str(slow)}, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(Path().glob("checkpoints/*/update-*.safetensors")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_a_problem_file_is_trained_recorded_and_kept(thalweg, tmp_path) -> None:
    code, out, notices = thalweg(
        "line.py", "--rule", "adam", "--lr", "0.01", "--schedule", "cosine", "--warmup", "4",
        "--set", "beta1=0.8", "--clip", "1", "--noise", "0.01", "--save", "weights.safetensors",
    )  # fmt: skip
    assert code == 0
    assert len([line for line in notices.splitlines() if "epoch" in line]) == 3
    (run,) = runs()
    assert (run.name, run.status, run.kind) == ("line", "finished", "train")
    assert run.hyper["hyper"] == {"beta1": 0.8}
    assert run.source.startswith("clip_by_global_norm_add_noise_adam ")
    assert run.events["epoch"].step == 3
    assert run.events["test"].step == 90
    assert run.events["lr"].value == 0.0
    assert f"checkpoints in {tmp_path / 'checkpoints' / run.id}, the best in best-" in out
    assert f"Record: {tmp_path / 'thalweg.db'}" in out
    saved = load_file("weights.safetensors")
    assert equal({**saved, "update": torch.tensor(90)}, last(run))


def test_a_built_in_problem_is_trained_with_the_defaults_of_rule_and_problem(thalweg) -> None:
    assert thalweg("digits", "--epochs", "1")[0] == 0
    (run,) = runs()
    assert (run.hyper["rule"], run.hyper["lr"], run.hyper["batch"]) == ("adamw", 1e-3, 32)
    assert run.provenance["threads"] == 1


def test_killed_and_resumed_it_ends_as_if_it_had_never_been(thalweg, tmp_path) -> None:
    options = ("line.py", "--schedule", "one_cycle", "--every", "4")
    assert thalweg(*options)[0] == 0
    (straight,) = runs()
    Path("thalweg.db").rename("straight.db")
    Path("checkpoints").rename("straight")
    process = started(*options, slow=0.005)
    process.kill()
    process.wait()
    assert runs()[0].status == "died"
    assert thalweg("line.py", "--resume")[0] == 0
    (resumed,) = runs()
    assert resumed.status == "finished"
    found = told(resumed.id), last(resumed)
    Path("straight.db").rename("thalweg.db")
    Path("checkpoints").rename("resumed")
    Path("straight").rename("checkpoints")
    assert found[0] == told(straight.id)
    assert equal(found[1], last(straight))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_with_a_checkpoint_and_the_command_to_go_on(
    number, code, thalweg, tmp_path
) -> None:
    process = started("line.py", "--every", "2", slow=0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"{number.name}: stopped after update" in said
    assert "Go on with: thalweg train line.py --resume --every 2" in said
    assert "Traceback" not in said
    assert runs()[0].status == "interrupted"


def test_a_run_without_a_checkpoint_begins_from_its_start_under_its_own_name(thalweg) -> None:
    assert thalweg("line.py", "--epochs", "1", "--seed", "3")[0] == 0
    (run,) = runs()
    with record.open() as book:
        book.resume(run.id).end("interrupted")
    before = last(run)
    for path in Path("checkpoints", run.id).iterdir():
        path.unlink()
    code, _, notices = thalweg("line.py", "--resume")
    assert code == 0
    assert f"Run {run.id} has no checkpoint" in notices
    assert [each.id for each in runs()] == [run.id]
    assert equal(before, last(run))


def test_where_nothing_is_unfinished_a_new_run_begins_and_that_is_said(thalweg) -> None:
    assert thalweg("line.py", "--epochs", "1")[0] == 0
    code, _, notices = thalweg("line.py", "--epochs", "1", "--resume")
    assert code == 0
    assert "There is no unfinished training of line: a new one begins." in notices
    assert len(runs()) == 2


def interrupt(*arguments: str) -> None:
    process = started(*arguments, slow=0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_settings_that_contradict_the_run_are_refused_naming_both(thalweg) -> None:
    interrupt("line.py", "--every", "1", "--schedule", "cosine", "--rule", "adam")
    for option, value, words in (
        ("--rule", "sgd", "begun with rule 'adam', and 'sgd' was asked for"),
        ("--lr", "0.5", "begun with lr 0.001, and 0.5 was asked for"),
        ("--clip", "2", "begun with clip None, and 2.0 was asked for"),
        ("--epochs", "9", "the schedule 'cosine' is spread over the run"),
    ):
        code, _, notices = thalweg("line.py", "--resume", option, value)
        assert code == 2
        assert words in notices
    assert thalweg("line.py", "--resume", "--rule", "adam", "--schedule", "cosine")[0] == 0


def test_a_constant_rate_can_be_resumed_for_more_epochs_and_changes_are_told(thalweg) -> None:
    interrupt("line.py", "--every", "1")
    Path("line.py").write_text(PROBLEM + "\n# Another comment.\n")
    code, out, notices = thalweg("line.py", "--resume", "--epochs", "5")
    assert code == 0
    assert "The text of line.py has changed since the run began" in notices
    assert "5 epochs" in out
    assert runs()[0].events["epoch"].step == 5


def test_learning_rates_are_trained_one_after_the_other_and_finished_ones_not_again(
    thalweg,
) -> None:
    rates = ("line.py", "--rule", "sgd", "--lr", "0.01,0.1,1")
    assert thalweg(*rates)[0] == 0
    whole = {run.hyper["lr"]: last(run) for run in runs("train")}
    (study,) = runs("study")
    assert study.hyper["lr"] == [0.01, 0.1, 1.0]
    members = runs("train")
    assert {run.parent for run in members} == {study.id}
    with record.open() as book:
        for run in (study, members[1]):
            book.resume(run.id).end("interrupted")
    (*_, earlier) = sorted(Path("checkpoints", members[1].id).glob("update-*"))
    earlier.unlink()
    code, out, notices = thalweg("line.py", "--resume")
    assert code == 0
    assert [line.split()[2] for line in notices.splitlines() if "epoch" in line] == ["0.1"]
    assert all(name in out for name in ("lr 0.01", "lr 0.1", "lr 1"))
    assert [run.id for run in runs("train")] == [run.id for run in members]
    assert all(equal(whole[run.hyper["lr"]], last(run)) for run in runs("train"))


def test_strategies_act_and_are_taken_up_again(thalweg) -> None:
    options = ("line.py", "--snapshots", "3", "--ema", "0.9", "--stop-after", "3")
    code, out, _ = thalweg(*options, "--save", "ensemble.safetensors")
    assert code == 0
    assert "its average" in out
    assert "its ensemble" in out
    namespace: dict[str, Any] = {}
    exec(PROBLEM, namespace)
    assert len(load_ensemble(namespace["model"], "ensemble.safetensors").members) == 3
    (run,) = runs()
    assert run.events["ensemble"].data["test"]["accuracy"] > 0.5
    straight = told(run.id)
    with record.open() as book:
        book.resume(run.id).end("interrupted")
    assert thalweg("line.py", "--resume")[0] == 0
    assert told(run.id) == straight


def test_a_training_that_diverges_says_so_and_exits_1(thalweg) -> None:
    code, out, notices = thalweg("line.py", "--rule", "sgd", "--lr", "1e30")
    assert code == 1
    assert "Warning: the training diverged" in notices
    assert "lr 1e+30 diverged in the first epoch" in out
    assert runs()[0].status == "diverged"
    assert thalweg("line.py", "--rule", "sgd", "--lr", "0.1,1e30")[0] == 0


def test_a_full_disk_leaves_the_checkpoint_before_and_says_so(thalweg, monkeypatch) -> None:
    from thalweg import files

    whole = files.replace
    written: list = []

    def replace(path, content) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(path)
        whole(path, content)

    monkeypatch.setattr(files, "replace", replace)
    code, _, notices = thalweg("line.py")
    assert code == 2
    assert "No space left on device. The last good one is update-000000060" in notices
    assert "Go on with: thalweg train line.py --resume" in notices
    assert runs()[0].status == "failed"
    monkeypatch.setattr(files, "replace", whole)
    assert thalweg("line.py", "--resume")[0] == 0
    assert [run.status for run in runs()] == ["finished"]


LOADER = (
    PROBLEM
    + """
train = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*train), batch_size=8)
"""
)
NAN, EMPTY = PROBLEM + "\ninputs[5] = float('nan')\n", PROBLEM + "\ntrain = inputs[:0], targets[:0]"
LABELS, OVERLAP = PROBLEM + "\ntargets[7] = 9\n", PROBLEM + "\nvalid = train\n"
NO_VALID = PROBLEM + "\nvalid = None\n"


@pytest.mark.parametrize(
    ("arguments", "message", "text"),
    [
        (["digit"], "Did you mean 'digits'?", PROBLEM),
        (["missing.py"], "there is no file", PROBLEM),
        (["line.py", "--rule", "adm"], "Did you mean 'adam'?", PROBLEM),
        (["line.py", "--lr", "nan"], "'nan' is not a finite number", PROBLEM),
        (["line.py", "--lr", "-1"], "lr=-1.0 is outside its legal range", PROBLEM),
        (["line.py", "--lr", "0.1,0.1"], "expected each of them once", PROBLEM),
        (["line.py", "--schedule", "cosin"], "Did you mean 'cosine'?", PROBLEM),
        (["line.py", "--schedule", "vaswani"], "the width of a transformer", PROBLEM),
        (["line.py", "--warmup", "90"], "leaves none of the run's 90", PROBLEM),
        (["line.py", "--batch", "241"], "is more than the 240 examples", PROBLEM),
        (["line.py", "--batch", "0"], "'0' is not a whole number", PROBLEM),
        (["line.py", "--set", "beta3=1"], "Did you mean 'beta", PROBLEM),
        (["line.py", "--set", "beta1"], "expected name=number", PROBLEM),
        (["line.py", "--set", "beta1=2"], "beta1=2.0 is outside its legal range", PROBLEM),
        (["line.py", "--clip", "0"], "max_norm=0.0 is outside", PROBLEM),
        (["rbm", "--accumulate", "2"], "writes its own gradient", PROBLEM),
        (["line.py", "--ema", "1"], "decay=1.0", PROBLEM),
        (["line.py", "--snapshots", "91"], "91 cycles in 90 steps", PROBLEM),
        (["line.py", "--snapshots", "3", "--schedule", "cosine"], "Leave one of them out", PROBLEM),
        (["line.py", "--stop-after", "1"], "has no validation set", NO_VALID),
        (["line.py", "--batch", "4"], "which cuts its own", LOADER),
        (["line.py", "--lr", "0.1,1", "--save", "w"], "give one learning rate", PROBLEM),
        (["line.py", "--out", "missing/a.html"], "there is no folder", PROBLEM),
        (["line.py", "--out", "line.py"], "a Python file, which would be lost", PROBLEM),
        (["line.py", "--out", "a", "--save", "./a"], "--out and --save are both", PROBLEM),
        (["line.py", "--record", "a", "--out", "a"], "--record and --out are both", PROBLEM),
        (["line.py", "--record", "missing/a.db"], "there is no folder", PROBLEM),
        (["line.py", "--checkpoints", "line.py/a"], "cannot hold checkpoints", PROBLEM),
        (["line.py"], "NaN or infinity, first in row 5", NAN),
        (["line.py"], "train is empty", EMPTY),
        (["line.py"], "row 7 of train is labelled 9", LABELS),
        (["line.py"], "is the training set itself", OVERLAP),
    ],
)
def test_bad_input_is_answered_before_anything_is_written(
    arguments, message, text, thalweg, tmp_path
) -> None:
    Path("line.py").write_text(text)
    check_refused(thalweg(*arguments), message)
    assert runs() == []


def test_a_checkpoint_of_another_model_and_a_damaged_one_are_refused(thalweg) -> None:
    interrupt("line.py", "--every", "1")
    (run,) = runs()
    Path("line.py").write_text(PROBLEM.replace("4, 8", "4, 9").replace("8, 2", "9, 2"))
    code, _, notices = thalweg("line.py", "--resume")
    assert code == 2
    assert "the checkpoint is of another model" in notices
    Path("line.py").write_text(PROBLEM)
    *_, newest = sorted(Path("checkpoints", run.id).glob("update-*"))
    newest.write_bytes(newest.read_bytes()[:-9])
    code, _, notices = thalweg("line.py", "--resume")
    assert code == 0
    assert f"Warning: {newest.name} is damaged and is passed over" in notices


def figures(path: str) -> dict:
    """The figures of a page, in JSON that knows no NaN."""
    text = Path(path).read_text(encoding="utf-8").partition("const figures = ")[2]

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text.partition(";\n")[0], parse_constant=refuse)


def test_the_page_draws_losses_accuracy_and_rate_of_one_run(thalweg) -> None:
    assert thalweg("line.py", "--schedule", "linear", "--out", "page.html")[0] == 0
    text = Path("page.html").read_text(encoding="utf-8")
    body = text.partition("<body>")[2]
    assert "adamw on line" in body
    assert "linear (a line to 0)" in body
    assert "seed 0" in body
    assert "http" not in body.replace("http://www.w3.org", "")
    drawn = figures("page.html")
    assert list(drawn) == ["loss", "accuracy", "rate"]
    names = [trace["name"] for trace in drawn["loss"]["data"]]
    assert names == ["running", "fixed training subset", "validation"]
    assert drawn["loss"]["layout"]["yaxis"]["type"] == "log"
    assert drawn["loss"]["data"][2]["x"] == [1, 2, 3]
    rate = drawn["rate"]["data"][0]
    assert rate["x"][-1] == 3
    assert rate["y"][-1] == 0
    assert body.count("<tr>") == 2 + 4


def test_the_page_of_a_study_draws_every_learning_rate_and_tells_what_diverged(thalweg) -> None:
    rates = ("--rule", "sgd", "--lr", "0.01,0.1,1e30")
    assert thalweg("line.py", *rates, "--out", "page.html")[0] == 0
    body = Path("page.html").read_text(encoding="utf-8").partition("<body>")[2]
    assert "lr 1e+30 diverged" in body
    drawn = figures("page.html")
    shown = [trace["name"] for trace in drawn["loss"]["data"] if trace["showlegend"]]
    assert shown[:2] == ["lr 0.01", "lr 0.1"]
    assert [trace["name"] for trace in drawn["rate"]["data"]] == ["lr 0.01", "lr 0.1", "lr 1e+30"]
    assert drawn["rate"]["layout"]["yaxis"]["type"] == "log"
    assert max(drawn["loss"]["layout"]["yaxis"]["range"]) < 2


def test_a_problem_without_validation_and_classes_has_a_page_too(thalweg) -> None:
    assert thalweg("rosenbrock", "--epochs", "20", "--out", "page.html")[0] == 0
    drawn = figures("page.html")
    assert list(drawn) == ["loss", "rate"]
    body = Path("page.html").read_text(encoding="utf-8").partition("<body>")[2]
    assert "there is no validation set" in body
