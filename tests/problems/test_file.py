"""A problem file is run once, and what is wrong with it is said with its file and line."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset

from commands import command_line
from thalweg import problems
from thalweg.errors import BadFile, BadType, BadValue

_SOUND = """
import torch

x = torch.arange(60.0).reshape(20, 3)
y = torch.arange(20) % 2
train = x[:12], y[:12]
valid = x[12:], y[12:]


def model():
    return torch.nn.Linear(3, 2)
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a problem file and return its path; forget its module and its folder afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(text, name="my_problem.py"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_sound_file_becomes_a_problem_with_defaults(write):
    problem: Any = problems.load(write(_SOUND))
    assert problem.name == "my_problem"
    assert (problem.batch_size, problem.epochs) == (12, 10)
    assert problem.loss is cross_entropy
    assert len(problem.train.inputs) == 12
    assert len(problem.validation.inputs) == 8
    assert problem.test is None


def test_what_the_file_says_replaces_the_defaults(write):
    said = '"""Two words."""' + _SOUND + "batch = 'all'\nepochs = 3\nloss = lambda a, b: a.mean()\n"
    problem: Any = problems.load(write(said))
    assert (problem.description, problem.batch_size, problem.epochs) == ("Two words.", "all", 3)
    assert problem.loss(torch.ones(2), None) == 1


def test_float_targets_have_the_squared_error(write):
    text = _SOUND.replace("y = torch.arange(20) % 2", "y = torch.zeros(20, 2)")
    assert problems.load(write(text)).loss is mse_loss


def test_the_file_is_run_once_and_its_neighbours_can_be_imported(write, tmp_path):
    write("size = 2\n", "neighbour_of_a_problem.py")
    counting = "import neighbour_of_a_problem\nopen(__file__ + '.runs', 'a').write('x')\n"
    path = write(
        _SOUND.replace("Linear(3, 2)", "Linear(3, neighbour_of_a_problem.size)") + counting
    )
    problem: Any = problems.load(path)
    problem.make_model(0)
    problem.make_model(1)
    assert (tmp_path / "my_problem.py.runs").read_text() == "x"


def test_a_seed_fixes_the_models_of_a_file(write):
    make_model: Any = problems.load(write(_SOUND)).make_model
    before = torch.get_rng_state()
    first, again, other = (make_model(seed).weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_data_may_be_arrays_data_sets_and_loaders(write):
    text = _SOUND + (
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "test = DataLoader(TensorDataset(*valid), batch_size=4)\n"
        "train = train[0].numpy(), train[1].numpy()\n"
        "valid = TensorDataset(-valid[0], valid[1])\n"
    )
    problem: Any = problems.load(write(text))
    assert isinstance(problem.train.inputs, np.ndarray)
    assert isinstance(problem.validation, TensorDataset)
    assert isinstance(problem.test, DataLoader)


def test_two_files_of_the_same_name_are_two_problems(write, tmp_path):
    first = problems.load(write(_SOUND))
    (tmp_path / "other").mkdir()
    second = problems.load(write(_SOUND.replace("(3, 2)", "(3, 5)"), "other/my_problem.py"))
    sizes = [problem.make_model(0).out_features for problem in (first, second)]
    assert sizes == [2, 5]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("def model(:\n", BadFile, ", line 1: SyntaxError"),
        ("import torch\n\n1 / 0\n", BadFile, ", line 3: ZeroDivisionError: division by zero"),
        ("import torch\nraise SystemExit\n", BadFile, ", line 2: SystemExit"),
        ("import a_module_nobody_has\n", BadFile, ", line 1: ModuleNotFoundError"),
        ("from thalweg.problems import load\nload('digit')\n", BadFile, ", line 2: there is no"),
        ("x = 1\n", BadFile, "does not define model and train"),
        ("def model(): ...\n", BadFile, "does not define train"),
        (_SOUND + "model = 3\n", BadType, "model should be a function"),
        (_SOUND + "model = torch.nn.Linear(3, 2)\n", BadType, ", line 12: model should be a func"),
        (_SOUND.replace("return", "3 #"), BadType, r"model\(\) should return a module, got a None"),
        (_SOUND.replace("(3, 2)", "(3, 1 / 0)"), BadFile, ", line 11: ZeroDivisionError"),
        (_SOUND.replace("(3, 2)", "(4, 2)"), BadValue, "the model fails on the first"),
        (_SOUND.replace("(3, 2)", "(3, 1)"), BadValue, "row 1 of train is labelled 1"),
        (_SOUND + "train = None\n", BadType, ", line 12: train should be a pair"),
        (_SOUND + "test = x, y[:3]\n", BadValue, ", line 12: test has 20 inputs and 3 targets"),
        (_SOUND + "test = x[:0], y[:0]\n", BadValue, ", line 12: test is empty"),
        (_SOUND + "test = x / 0, y\n", BadValue, ", line 12: the inputs of test hold NaN"),
        (_SOUND.replace("x[12:], y[12:]", "x[6:], y[6:]"), BadValue, "6 of 14 examples of valid"),
        (_SOUND + "batch = 13\n", BadValue, ", line 12: batch=13 is more than the 12 examples"),
        (_SOUND + "batch = 'some'\n", BadType, ", line 12: batch='some'; expected a whole number"),
        (_SOUND + "epochs = 0\n", BadValue, ", line 12: epochs=0; expected a whole number"),
        (_SOUND + "epochs = 1.5\n", BadType, ", line 12: epochs=1.5; expected a whole number"),
        (_SOUND + "loss = 7\n", BadType, ", line 12: loss should be a function"),
        (_SOUND + "def loss(a, b):\n    return a\n", BadValue, "the loss should be the mean"),
        (_SOUND + "def loss(a, b):\n    return a.x\n", BadValue, ", line 13: the loss fails"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_trained_is_refused_with_its_place(write, text, error, message):
    path = write(text)
    with pytest.raises(error, match=message) as caught:
        problems.load(path)
    assert str(caught.value).startswith(path)


def test_a_data_set_that_fails_is_blamed_on_its_line(write):
    text = _SOUND + (
        "class Broken(torch.utils.data.Dataset):\n"
        "    def __len__(self):\n        return 50\n"
        "    def __getitem__(self, index):\n        return [][index]\n"
        "train, valid = Broken(), None\n"
    )
    with pytest.raises(BadFile, match="line 16: IndexError"):
        problems.load(write(text))


def test_a_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(BadFile, match=r"there is no file .*thalweg new none\.py"):
        problems.load(str(tmp_path / "none.py"))


def test_a_file_that_would_hide_a_module_is_refused(write):
    with pytest.raises(BadFile, match="would hide the module 'pytest'"):
        problems.load(write(_SOUND, "pytest.py"))
    assert sys.modules["pytest"] is pytest


thalweg = command_line()


def _accuracy_after_training(problem):
    model = problem.make_model(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        problem.loss(model(problem.train.inputs), problem.train.targets).backward()
        optimizer.step()
    answers = model(problem.validation.inputs).argmax(1)
    return (answers == problem.validation.targets).double().mean().item()


def test_new_writes_a_problem_that_runs_as_it_is(thalweg, write, tmp_path):
    code, out, _ = thalweg("new", "moons_of_a_test.py")
    assert (code, out) == (0, f"Problem: {tmp_path / 'moons_of_a_test.py'}\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "moons_of_a_test.py"]
    problem: Any = problems.load("moons_of_a_test.py")
    assert (problem.batch_size, problem.epochs) == (32, 10)
    assert _accuracy_after_training(problem) > 0.9


def test_new_never_replaces_a_file(thalweg, tmp_path):
    (tmp_path / "mine.py").write_text("precious")
    code, _, notices = thalweg("new", "mine.py")
    assert code == 2
    assert "exists already" in notices
    assert (tmp_path / "mine.py").read_text() == "precious"
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.py"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two words.py", "should be a name that Python can import"),
        ("notes.txt", "should be a name that Python can import"),
        ("nowhere/mine.py", "cannot be written: No such file or directory"),
    ],
)
def test_new_refuses_a_place_it_cannot_write(thalweg, name, message):
    code, _, notices = thalweg("new", name)
    assert code == 2
    assert message in notices
