"""Problems are the same on every load, cheap to import, and clear about data they cannot find."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from thalweg import problems
from thalweg.errors import BadFile, UnknownName
from thalweg.problems import mnist

_SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def digits():
    return problems.load("digits")


def test_importing_problems_imports_nothing_heavy():
    heavy = "{'torch', 'sklearn', 'numpy'}"
    code = f"import sys, thalweg.problems; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_problem_names_the_nearest_one():
    with pytest.raises(UnknownName, match=r"no problem 'digit'.*Did you mean 'digits'"):
        problems.load("digit")


def test_the_three_parts_of_digits_are_all_of_it_and_share_no_example(digits):
    from sklearn.datasets import load_digits

    parts = (digits.train, digits.validation, digits.test)
    assert [len(part.targets) for part in parts] == [1077, 360, 360]
    together = torch.cat([part.inputs for part in parts]).unique(dim=0)
    assert len(together) == len(np.unique(load_digits().data, axis=0))


def test_every_part_of_digits_has_the_classes_in_proportion(digits):
    for part in (digits.train, digits.validation, digits.test):
        shares = part.targets.bincount() / len(part.targets)
        assert (shares - 0.1).abs().max() < 0.01


def test_digits_are_standardised_with_the_training_statistics(digits):
    inputs = digits.train.inputs
    assert inputs.mean().item() == pytest.approx(0, abs=1e-6)
    assert inputs.std().item() == pytest.approx(1, abs=1e-6)
    assert digits.validation.inputs.mean().item() != 0


def test_loading_twice_gives_the_same_problem(digits):
    again = problems.load("digits")
    for name in ("train", "validation", "test"):
        pairs = zip(getattr(digits, name), getattr(again, name), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)


def test_a_seed_fixes_the_model_and_leaves_torchs_random_state_alone(digits):
    before = torch.get_rng_state()
    first, same, other = (digits.make_model(seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first[0].weight, same[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


def test_what_is_known_of_digits_is_true(digits):
    model = digits.make_model(0)
    targets = digits.validation.targets
    guess = digits.loss(torch.zeros(len(targets), 10), targets).item()
    assert digits.known["parameters"] == sum(each.numel() for each in model.parameters()) == 4810
    assert digits.known["guess_loss"] == pytest.approx(guess, rel=1e-6)
    assert digits.known["guess_accuracy"] == 0.1


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("THALWEG_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("no network in this test")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)


def test_mnist_without_data_and_network_says_what_to_do(monkeypatch, no_network):
    monkeypatch.delenv("THALWEG_DATA", raising=False)
    with pytest.raises(BadFile, match="THALWEG_DATA is not set") as caught:
        problems.load("mnist")
    assert "no network in this test" in str(caught.value)
    assert "Set THALWEG_DATA to a folder that holds an intact mnist.npz" in str(caught.value)


def test_mnist_says_in_which_folder_it_looked(data_folder, no_network):
    with pytest.raises(BadFile) as caught:
        problems.load("mnist")
    assert f"there is no file {data_folder / 'mnist.npz'}" in str(caught.value)


def test_mnist_falls_back_to_openml_where_the_folder_lacks_it(data_folder, monkeypatch):
    images = np.arange(70_000, dtype=np.float32)[:, None]
    answer = images, np.char.mod("%d", np.arange(70_000) % 10).astype(object)
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *args, **kwargs: answer)
    loaded: Any = problems.load("mnist")
    sizes = [len(part.targets) for part in (loaded.train, loaded.validation, loaded.test)]
    assert sizes == [50_000, 10_000, 10_000]
    assert loaded.test.targets[:3].tolist() == [0, 1, 2]


def _arrays(**changed):
    labels = np.arange(20) % 10
    images = np.zeros((20, 28, 28), np.uint8)
    return {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels} | changed


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (_arrays(x_train=np.full((20, 28, 28), "7")), "x_train holds <U1, expected whole"),
        ({"x_train": np.zeros(3)}, "lacks an array"),
        (_arrays(x_test=np.zeros((20, 28, 27))), r"x_test has shape \(20, 28, 27\)"),
        (_arrays(x_test=np.zeros(())), r"x_test has shape \(\)"),
        (_arrays(y_train=np.arange(19)), r"y_train has shape \(19,\), expected \(20,\)"),
        (_arrays(y_test=np.full(20, 7)), "y_test should hold each of the classes 0 to 9"),
        (_arrays(), "x_train should hold more than 10000 examples"),
    ],
)
def test_a_wrong_mnist_file_is_refused_with_its_fault(data_folder, arrays, reason):
    np.savez(data_folder / "mnist.npz", **arrays)
    with pytest.raises(BadFile, match=reason) as caught:
        problems.load("mnist")
    assert str(data_folder / "mnist.npz") in str(caught.value)
    assert "Set THALWEG_DATA" in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped"])
def test_a_damaged_mnist_file_is_refused(data_folder, damage):
    path = data_folder / "mnist.npz"
    np.savez(path, **_arrays())
    whole = path.read_bytes()
    flipped = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    broken = {"empty": b"", "text": b"not an archive", "cut": whole[:3000], "flipped": flipped}
    path.write_bytes(broken[damage])
    with pytest.raises(BadFile, match="cannot be used as MNIST"):
        problems.load("mnist")


def test_mnist_from_a_file_holds_out_ten_thousand_examples(monkeypatch):
    folder = Path(os.environ.get("THALWEG_DATA") or _SHARED)
    if not (folder / "mnist.npz").is_file():
        pytest.skip(f"needs mnist.npz in THALWEG_DATA or {_SHARED}")
    monkeypatch.setenv("THALWEG_DATA", str(folder))
    loaded: Any = mnist.load()
    sizes = [tuple(part.inputs.shape) for part in (loaded.train, loaded.validation, loaded.test)]
    assert sizes == [(50_000, 784), (10_000, 784), (10_000, 784)]
    assert loaded.train.inputs.std().item() == pytest.approx(1, abs=1e-4)
    assert sum(each.numel() for each in loaded.make_model(0).parameters()) == 159_010
