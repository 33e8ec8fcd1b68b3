"""Worker processes change nothing about the numbers, and what goes wrong in them is said."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from thalweg import problems
from thalweg.errors import BadFile, BadType, BadValue, WorkerDied
from thalweg.problems import define
from thalweg.racing import execute, prepare, race
from thalweg.racing.result import Terms
from thalweg.racing.work import way
from thalweg.rules import rule

TERMS: dict[str, Any] = {"trials": 2, "seeds": 2, "epochs": 2, "reference": None}


def blobs(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return three clouds of points."""
    noise = torch.Generator().manual_seed(seed)
    targets = torch.arange(48) % 3
    return torch.eye(3, 4)[targets] * 3 + torch.randn(48, 4, generator=noise), targets


def model() -> nn.Module:
    """Return a small classifier."""
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def loader() -> DataLoader:
    """Return the training set as a loader, so that every training is a piece of work."""
    return DataLoader(TensorDataset(*blobs(1)), 8, shuffle=True)


@rule("Halving")
def halving(g, *, lr=0.1):
    """Step along half the gradient: a rule that is in no catalogue."""
    return lr * g / 2


def told(result) -> list[str]:
    """Return all numbers of a race; a NaN is written as itself."""
    return [repr((run.task, run.curve, run.test_loss)) for run in result.runs]


def test_workers_do_what_one_process_does_to_the_last_bit() -> None:
    problem = define(model, loader(), blobs(2), blobs(3), name="blobs")
    alone, shared = (race(problem, ["sgd", halving], workers=number, **TERMS) for number in (1, 2))
    assert told(shared) == told(alone)
    assert shared.header == alone.header
    assert shared.remarks == alone.remarks


@pytest.mark.long
def test_a_problem_by_name_is_loaded_by_the_workers_and_stacks_are_pieces_of_work() -> None:
    places: list[Any] = []
    alone = race("digits", ["sgd", "adam"], **{**TERMS, "trials": 4})
    shared = race(
        "digits", ["sgd", "adam"], workers=2, on_progress=places.append, **{**TERMS, "trials": 4}
    )
    assert told(shared) == told(alone)
    assert places[-1].done == places[-1].planned


_FILE = """
import torch
{seeding}
x, y = torch.randn(60, 3), torch.arange(60) % 2
train, valid = (x[:40], y[:40]), (x[40:], y[40:])


def model():
    return torch.nn.LSTM(3, 2)


def loss(output, targets):
    return torch.nn.functional.cross_entropy(output[0], targets)
"""


@pytest.mark.long
@pytest.mark.parametrize("seeding", ["torch.manual_seed(0)", ""])
def test_a_problem_file_is_loaded_by_the_workers_and_must_be_the_same_whenever_it_is(
    tmp_path, monkeypatch, seeding
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / f"worked_{len(seeding)}.py"
    path.write_text(_FILE.format(seeding=seeding))
    if seeding:
        alone, shared = (race(str(path), ["sgd"], workers=n, **TERMS) for n in (1, 2))
        assert told(shared) == told(alone)
    else:
        with pytest.raises(BadFile, match="are others whenever it is loaded"):
            race(str(path), ["sgd"], workers=2, **TERMS)


def fatal(output, targets):
    """Be the cross-entropy, until a worker has made some steps: then end it."""
    fatal.calls += 1  # type: ignore[attr-defined]
    if multiprocessing.parent_process() is not None and fatal.calls > 60:  # type: ignore[attr-defined]
        os.kill(os.getpid(), signal.SIGKILL)
    return cross_entropy(output, targets)


fatal.calls = 0  # type: ignore[attr-defined]


class Notes:
    """Keeps runs in a list."""

    def __init__(self, plan) -> None:
        self.kept: list = []
        self.way = way(plan)

    def runs(self):
        return list(self.kept)

    def add(self, runs):
        self.kept += runs

    def end(self, result):
        self.ended = result


def test_a_worker_that_is_killed_is_named_and_what_was_recorded_is_kept() -> None:
    problem = define(model, loader(), blobs(2), loss=fatal, name="fatal")
    plan = prepare(problem, ["sgd", "adam"], Terms(**TERMS))
    book: Any = Notes(plan)
    with pytest.raises(WorkerDied, match="a worker process ended at its work.*recorded is kept"):
        execute(plan, book, workers=2)
    kept = list(book.kept)
    assert kept
    after = execute(plan, book)
    assert book.kept[: len(kept)] == kept
    assert len(kept) < len(book.kept) == len(after.runs)
    assert told(after) == told(execute(plan))


def test_a_problem_that_cannot_be_sent_is_refused_before_any_training() -> None:
    problem = define(lambda: nn.Linear(4, 3), blobs(1), blobs(2), name="mine")
    places: list[Any] = []
    with pytest.raises(BadValue, match=r"'mine' cannot be sent to worker processes .*workers=1"):
        race(problem, ["sgd"], workers=2, on_progress=places.append, **TERMS)
    assert places == []


def test_a_problem_whose_module_no_worker_can_import_is_refused_before_any_training(
    monkeypatch,
) -> None:
    module: Any = types.ModuleType("of_this_process_alone")
    exec("from torch import nn\ndef model(): return nn.Linear(4, 3)", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    problem = define(module.model, blobs(1), blobs(2))
    places: list[Any] = []
    with pytest.raises(BadValue, match="No module named 'of_this_process_alone'"):
        race(problem, ["sgd"], workers=2, on_progress=places.append, **TERMS)
    assert places == []


@pytest.mark.parametrize(("number", "error"), [(0, BadValue), (1.5, BadType), (True, BadType)])
def test_a_number_of_workers_that_is_none_is_refused(number, error) -> None:
    with pytest.raises(error, match="workers="):
        race(problems.load("digits"), ["sgd"], workers=number)


def test_a_plan_is_sent_without_the_data_that_can_be_loaded_anew() -> None:
    plan = prepare("digits", ["sgd"])
    sent = pickle.dumps(plan)
    assert len(sent) < 5_000
    again: Any = pickle.loads(sent)
    assert again.header == plan.header
    assert torch.equal(again.problem.train[0], plan.problem.train[0])  # type: ignore[index]


@pytest.mark.long
def test_a_script_without_a_guard_is_told_to_have_one(tmp_path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text("import thalweg\nthalweg.race('digits', ['sgd'], trials=1, workers=2)\n")
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": source},
    )  # fmt: skip
    assert 'below if __name__ == "__main__"' in done.stderr
