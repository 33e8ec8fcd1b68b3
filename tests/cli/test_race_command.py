"""`thalweg race` races, records and draws; stopped anywhere, it goes on with --resume."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from thalweg import cli, racing, record, report
from thalweg.cli.race import METRICS, SAMPLERS
from thalweg.errors import BadFile
from thalweg.racing import workers

PROBLEM = """
'''Which side of a line a point is on.'''
import os
import time
import torch
from torch import nn

generator = torch.Generator().manual_seed(0)
inputs = torch.randn(120, 4, generator=generator)
targets = (inputs.sum(1) > 0).long()
train, valid = (inputs[:80], targets[:80]), (inputs[80:], targets[80:])
batch, epochs = 16, 2


class Slow(nn.Module):
    def forward(self, inputs):
        time.sleep(float(os.environ.get("SLOW", 0)))
        return inputs


def model():
    return nn.Sequential(Slow(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
"""
SMALL = ("--rules", "sgd,adam", "--trials", "2", "--seeds", "2", "--reference", "adam")


@pytest.fixture
def thalweg(capsys, tmp_path, monkeypatch):
    """Run the command line in a folder with a problem file; return code, output and notices."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THALWEG_RECORD", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    Path("side.py").write_text(PROBLEM)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main(["race", *arguments])
        code, (out, notices) = int(caught.value.code or 0), capsys.readouterr()
        return code, " ".join(out.split()), " ".join(notices.replace("│", " ").split())

    return call


def races(place: str | None = None) -> list:
    with record.open(place) as book:
        return book.runs("race")


def members(place: str | None = None) -> list:
    """The runs of the only race, with their curves; the seconds are their own."""
    with record.open(place) as book:
        (race,) = book.runs("race")
        return [
            (run.kind, dict(run.hyper), run.seed,
             [event[:4] for event in run.events if event.name != "seconds"])
            for run in book.members(race.id)
        ]  # fmt: skip


def started(*arguments: str, slow: float, kept: int) -> subprocess.Popen:
    """Start a race that takes its time, and wait until it has kept so many runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "thalweg", "race", *arguments],
        env={**os.environ, "SLOW": str(slow)}, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not Path("thalweg.db").exists() or not races() or len(members()) < kept:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


# What it does.


def test_it_prints_the_verdict_writes_the_page_and_records_every_run(thalweg, tmp_path) -> None:
    code, out, notices = thalweg("side.py", *SMALL)
    assert code == 0
    (race,) = races()
    assert race.status == "finished"
    assert race.events["verdict"].data["words"].split(". ")[0] in out
    assert f"Race {race.id} of side in {tmp_path / 'thalweg.db'}" in out
    assert f"Page: {tmp_path / 'race.html'}" in out
    assert (tmp_path / "race.html").stat().st_size > 1_000_000
    assert len(members()) == race.events["verdict"].step
    assert "Trials: adam, sgd" in notices
    assert "Fresh seeds: adam, sgd" in notices
    assert notices.count("epochs") <= 4


def test_a_single_trial_races_the_defaults(thalweg) -> None:
    assert thalweg("side.py", *SMALL[:2], "--trials", "1", "--seeds", "1")[0] == 0
    hypers = [hyper for kind, hyper, *_ in members() if kind in ("trial", "final")]
    assert sorted(map(str, hypers)) == ["{'rule': 'adam'}"] * 2 + ["{'rule': 'sgd'}"] * 2


def test_every_term_arrives(thalweg) -> None:
    code, _, notices = thalweg(
        "side.py", "--rules", "adam", "--trials", "2", "--seeds", "1", "--epochs", "1", "--seed",
        "5", "--sampler", "random", "--search", "lr,beta1", "--metric", "error", "--reference",
        "none", "--target", "0.25", "--memory", "8", "--out", "there.html", "--record", "other.db",
    )  # fmt: skip
    assert code == 0, notices
    with record.open("other.db") as book:
        (race,) = book.runs("race")
    assert race.hyper["header"]["terms"] == {
        "trials": 2, "seeds": 1, "epochs": 1, "seed": 5, "schedule": "constant",
        "sampler": "random", "search": ["lr", "beta1"], "metric": "error", "reference": None,
        "target": 0.25,
    }  # fmt: skip
    assert race.hyper["memory"] == 8 * 2**20
    assert Path("there.html").exists()


def test_the_names_that_are_said_before_loading_are_those_that_races_know() -> None:
    from thalweg.racing.result import METRICS as metrics
    from thalweg.racing.sampling import samplers

    assert (metrics, tuple(samplers)) == (METRICS, SAMPLERS)


def test_a_race_of_which_every_run_diverges_exits_1(thalweg) -> None:
    Path("steep.py").write_text(PROBLEM.replace("return inputs", "return inputs * 1e30"))
    code, out, _ = thalweg("steep.py", "--rules", "sgd", "--trials", "1", "--seeds", "1",
                           "--reference", "none")  # fmt: skip
    assert "every run diverged" in out
    assert code == 1
    assert races()[0].status == "diverged"


def test_a_target_that_nobody_reaches_is_told(thalweg) -> None:
    code, out, _ = thalweg("side.py", *SMALL, "--target", "-1")
    assert code == 0
    assert "The target was never reached." in out


def test_why_trainings_cannot_be_stacked_is_said_once(thalweg) -> None:
    Path("turns.py").write_text(
        PROBLEM.replace("return inputs", "return inputs if inputs.sum() > 1e9 else inputs + 0")
    )
    code, _, notices = thalweg("turns.py", *SMALL)
    assert code == 0, notices
    assert notices.count("Trained one after the other: ") == 1
    assert notices.count("cannot be stacked") == 1


# How it stops.


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_loses_no_more_than_what_was_running_and_tells_how_to_go_on(
    number, code, thalweg, tmp_path
) -> None:
    process = started("side.py", *SMALL, "--out", "mine.html", slow=0.02, kept=2)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Interrupted. Go on with: thalweg race side.py --resume --out mine.html" in said
    assert "Traceback" not in said
    (stopped,), before = races(), members()
    assert stopped.status == "interrupted"
    assert thalweg("side.py", "--resume", "--out", "mine.html")[0] == 0
    (race,) = races()
    assert (race.id, race.status) == (stopped.id, "finished")
    racing.race(
        "side.py", ["sgd", "adam"], trials=2, seeds=2, reference="adam", record="straight.db"
    )
    assert members()[: len(before)] == before
    assert members() == members("straight.db")


def test_where_nothing_is_unfinished_a_new_race_begins_and_that_is_said(thalweg) -> None:
    code, _, notices = thalweg("side.py", *SMALL, "--resume")
    assert code == 0
    assert "There is no unfinished race of side: a new one begins." in notices
    assert len(races()) == 1


def test_a_race_that_has_ended_is_shown_again_and_not_run_again(thalweg) -> None:
    _, told, _ = thalweg("side.py", *SMALL)
    code, again, notices = thalweg("side.py", *SMALL, "--resume")
    assert code == 0
    assert again == told
    assert "of side has ended already; nothing is trained." in notices
    assert len(races()) == 1


def test_several_problems_are_raced_on_and_compared(thalweg) -> None:
    Path("other.py").write_text(Path("side.py").read_text())
    code, told, _ = thalweg("side.py", "other.py", *SMALL)
    assert code == 0
    assert "Over 2 problems" in told
    assert [race.name for race in races()] == ["side", "other"]
    code, again, notices = thalweg("side.py", "other.py", *SMALL, "--resume")
    assert (code, again) == (0, told)
    assert notices.count("has ended already") == 2


def test_several_problems_without_a_target_are_refused(thalweg) -> None:
    Path("other.py").write_text(Path("side.py").read_text())
    code, _, notices = thalweg("side.py", "other.py", *SMALL, "--reference", "none")
    assert code == 2
    assert "there is none without a reference" in " ".join(notices.split())


def test_workers_do_the_same_race(thalweg) -> None:
    _, alone, _ = thalweg("side.py", *SMALL, "--record", "alone.db", "--out", "alone.json")
    _, others, _ = thalweg(
        "side.py", *SMALL, "--workers", "2", "--record", "two.db", "--out", "two.json"
    )
    board = slice(0, alone.index("Race "))
    assert others[board] == alone[board]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trials", "4"], "begun with trials 2, and 4 was asked for"),
        (["--rules", "sgd"], "begun with rules adam,sgd, and sgd was asked for"),
        (["--reference", "none"], "begun with reference adam, and none was asked for"),
        (["--memory", "1"], "begun with memory none, and 1048576 was asked for"),
        (["--metric", "error"], "begun with metric loss, and error was asked for"),
    ],
)
def test_terms_that_contradict_the_race_are_refused_naming_both(
    options, message, interrupted, thalweg
) -> None:
    code, _, notices = thalweg("side.py", "--resume", *options)
    assert code == 2
    assert message in notices
    assert races()[0].status == "interrupted"


def test_a_problem_file_that_has_changed_is_refused(interrupted, thalweg) -> None:
    Path("side.py").write_text(PROBLEM + "\n# Another comment.\n")
    code, _, notices = thalweg("side.py", "--resume")
    assert code == 2
    assert "The text of side.py changed since the race began" in notices
    assert "begin anew without resuming" in notices


def test_a_race_recorded_in_another_form_is_refused(interrupted, thalweg) -> None:
    with closing(sqlite3.connect("thalweg.db")) as connection, connection:
        connection.execute("UPDATE runs SET hyper = replace(hyper, '\"format\":1', '\"format\":7')")
    code, _, notices = thalweg("side.py", "--resume")
    assert code == 2
    assert "was recorded in form 7, and this thalweg reads 1" in notices


@pytest.fixture
def interrupted(thalweg, monkeypatch) -> None:
    """Leave a race that was interrupted before its fresh seeds."""
    whole = workers.perform

    def stopped(plan, work, tell):
        if work.tasks[0].phase == "final":
            raise KeyboardInterrupt
        return whole(plan, work, tell)

    with monkeypatch.context() as patch:
        patch.setattr(workers, "perform", stopped)
        assert thalweg("side.py", *SMALL)[0] == 130


def test_a_page_that_cannot_be_written_at_the_end_can_be_made_again(thalweg, monkeypatch) -> None:
    def full(result, path):
        raise BadFile("the disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(report, "page", full)
        code, _, notices = thalweg("side.py", *SMALL)
    (race,) = races()
    assert (code, race.status) == (2, "finished")
    again = f"The race is done and recorded. Its page: thalweg races {race.id} --out "
    assert "the disk is full." in notices
    assert again in notices


def test_a_record_that_fails_on_the_way_tells_how_to_go_on(thalweg, monkeypatch) -> None:
    def full(self, runs):
        raise BadFile("the disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(racing.Ledger, "add", full)
        code, _, notices = thalweg("side.py", *SMALL)
    assert code == 2
    assert "the disk is full. Go on with: thalweg race side.py --resume" in notices


# What it refuses.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "Did you mean 'digits'?"),
        (["missing.py"], "there is no file"),
        (["--rules", "adam,sdg"], "Did you mean 'sgd'?"),
        (["--rules", "sgd,"], "'sgd,' names nothing at some place"),
        (["--trials", "0"], "'0' is not a whole number from 1 to 1,000"),
        (["--trials", "9999"], "'9999' is not a whole number"),
        (["--trials", "many"], "'many' is not a whole number"),
        (["--seeds", "0"], "'0' is not a whole number from 1 to 1,000"),
        (["--epochs", "-2"], "'-2' is not a whole number from 1 to"),
        (["--seed", "-1"], "'-1' is not a whole number from 0 to"),
        (["--schedule", "cosin"], "Did you mean 'cosine'?"),
        (["--sampler", "sobl"], "Did you mean 'sobol'? There are: sobol, random, grid, bayesian."),
        (["--metric", "accuracy"], "there is no metric 'accuracy'. There are: loss, error."),
        (["--reference", "adm"], "Did you mean 'adam'?"),
        (["--target", "low"], "'low' is not a finite number"),
        (["--memory", "0"], "'0' is not a whole number from 1"),
        (["--out", "missing/race.html"], "there is no folder"),
        (["--out", "."], "is a folder"),
        (["--out", "race.html", "--record", "race.html"], "--record and --out are both"),
        (["--bogus"], "--bogus"),
    ],
)
def test_a_bad_request_is_refused_before_torch_is_loaded(arguments, message, thalweg) -> None:
    code, out, notices = thalweg(*arguments)
    assert code == 2
    assert message in notices
    assert "Traceback" not in notices
    assert out == ""
    assert not list(Path().glob("*.db"))


def test_refusing_needs_no_torch(tmp_path) -> None:
    code = (
        "import sys\nfrom thalweg import cli\ntry:\n    cli.main(['race', '--rules', 'adm'])\n"
        "except SystemExit as end:\n    print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "2 False\n"


def test_a_read_only_folder_is_refused_before_the_first_trial(thalweg, monkeypatch) -> None:
    def forbidden(dir):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", forbidden)
    code, _, notices = thalweg("side.py", *SMALL)
    assert code == 2
    assert "race.html' cannot be written: Permission denied. Name a file in a folder" in notices
    assert not Path("thalweg.db").exists()


def test_a_record_that_cannot_be_written_is_refused_before_the_first_trial(thalweg) -> None:
    code, _, notices = thalweg("side.py", *SMALL, "--record", "missing/thalweg.db")
    assert code == 2
    assert "there is no folder" in notices
    assert "epochs" not in notices


def test_a_record_of_a_newer_version_is_refused_before_the_first_trial(thalweg) -> None:
    with record.open() as book:
        book.begin("side", {}).end("finished")
    with closing(sqlite3.connect("thalweg.db")) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
    code, _, notices = thalweg("side.py", *SMALL)
    assert code == 2
    assert "has version 99 of the schema, and this thalweg knows 1" in notices
    assert "epochs" not in notices


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("import os", "import no_such_module", "line 3: ModuleNotFoundError: No module named"),
        ("def model():", "def network():", "does not define model. A problem file defines"),
        ("inputs[:80], targets[:80]", "inputs[:0], targets[:0]", "train is empty"),
        (", (inputs[80:], targets[80:])", ", None", "'faulty' has none. Give it one: `valid`"),
        ("nn.Sequential(Slow(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))",
         "Slow()", "no parameter"),
        ("nn.Linear(8, 2))", "nn.Linear(8, 2)).requires_grad_(False)", "has no gradient"),
        ("batch, epochs", "loss = lambda output, targets: (output**2).mean(1)\nbatch, epochs",
         "the loss should be the mean over the batch, a tensor of one number"),
        ("return inputs", "return inputs * float('nan')", "is nan before any training"),
        ("train, valid = (inputs[:80], targets[:80])",
         "from torch.utils.data import DataLoader, TensorDataset\ntrain, valid = DataLoader("
         "TensorDataset(inputs[:8], targets[:8]), batch_size=16, drop_last=True)",
         "yields no batch"),
    ],
)  # fmt: skip
def test_a_faulty_problem_file_is_refused_before_anything_is_recorded(
    old, new, message, thalweg
) -> None:
    assert old in PROBLEM
    Path("faulty.py").write_text(PROBLEM.replace(old, new))
    code, out, notices = thalweg("faulty.py", *SMALL)
    assert code == 2
    assert message in notices
    assert "Traceback" not in notices
    assert out == ""
    assert not Path("thalweg.db").exists()
