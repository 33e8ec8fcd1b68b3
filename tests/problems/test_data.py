"""Scaling, and the sets that are files: what they hold, and what is said where they are missing."""

import io
import os
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from thalweg import problems
from thalweg.errors import BadFile
from thalweg.problems import fit_scaling, shakespeare

_SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_scaling_per_feature_gives_each_mean_zero_and_variance_one():
    inputs = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) * 7 + 5
    scaled = fit_scaling(inputs, per_feature=True)(inputs)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(scaled.std(0), torch.ones(3))


def test_a_constant_feature_is_centred_and_left_unscaled():
    inputs = torch.stack([torch.full((900,), 0.1), torch.arange(900.0)], dim=1)
    scaling = fit_scaling(inputs, per_feature=True)
    assert scaling.deviation[0] == 1
    assert scaling(inputs)[:, 0].abs().max() < 1e-6
    assert scaling(torch.tensor([[3.1, 0.0]]))[0, 0].item() == pytest.approx(3.0)
    assert fit_scaling(torch.ones(4, 2)).deviation == 1


def test_scaling_takes_arrays_and_whole_numbers():
    inputs = np.arange(10, dtype=np.uint8).reshape(5, 2)
    scaled = fit_scaling(inputs)(inputs)
    assert scaled.mean().item() == pytest.approx(0, abs=1e-6)
    assert scaled.std().item() == pytest.approx(1)


def test_scaling_others_uses_what_was_fitted():
    scaling = fit_scaling(torch.tensor([0.0, 2.0, 4.0]))
    assert scaling(torch.tensor([2.0, 6.0])).tolist() == [0.0, 2.0]


@pytest.fixture
def shared(monkeypatch):
    """Point THALWEG_DATA at a folder that holds the file asked for, or skip."""

    def point(name):
        folder = Path(os.environ.get("THALWEG_DATA") or _SHARED)
        if not (folder / name).is_file():
            pytest.skip(f"needs {name} in THALWEG_DATA or {_SHARED}")
        monkeypatch.setenv("THALWEG_DATA", str(folder))
        return folder / name

    return point


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """No data here, none in scikit-learn's folder, no network."""

    def refuse(*args, **kwargs):
        raise URLError("no network in this test")

    monkeypatch.setenv("THALWEG_DATA", str(tmp_path))
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "kept"))
    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar10_14k.npz"),
        ("char_lstm", "tinyshakespeare.txt"),
        ("char_transformer", "tinyshakespeare.txt"),
        ("sparse_text", "tinyshakespeare.txt"),
    ],
)
def test_missing_data_say_where_they_were_sought_and_how_to_get_them(nothing, name, file):
    with pytest.raises(BadFile, match="Set THALWEG_DATA to a folder that holds") as caught:
        problems.load(name)
    assert f"there is no file {nothing / file}" in str(caught.value)
    assert "no network in this test" in str(caught.value)


def test_cifar10_takes_openmls_flat_rows_with_channels_first(nothing, monkeypatch):
    images = np.zeros((6000, 3072), np.float32)
    images[:, :1024] = np.arange(6000)[:, None] % 255
    labels = np.char.mod("%d", np.arange(6000) % 10).astype(object)
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *args, **kwargs: (images, labels))
    loaded: Any = problems.load("cifar10")
    parts = (loaded.train, loaded.validation, loaded.test)
    assert [tuple(part.inputs.shape) for part in parts] == [(2000, 3, 32, 32)] * 3
    blue = loaded.test.inputs[:, 2]
    assert blue.max() == blue.min() < loaded.test.inputs[:, 0].mean()


def test_cifar10_from_a_file_puts_channels_first(shared):
    path = shared("cifar10_14k.npz")
    loaded: Any = problems.load("cifar10")
    with np.load(path) as archive:
        image = archive["x_test"][7].astype(np.float32)
    assert len(loaded.train.targets) == 10_000
    shifted = loaded.test.inputs[7].permute(1, 2, 0).numpy()
    assert np.corrcoef(shifted.ravel(), image.ravel())[0, 1] == pytest.approx(1)


def test_characters_are_one_ahead_and_the_parts_follow_each_other(shared):
    whole = shared("tinyshakespeare.txt").read_text()
    letters = sorted(set(whole))
    train, validation, test = shakespeare.characters(64)
    assert torch.equal(train.inputs[:, 1:], train.targets[:, :-1])
    written = "".join(letters[code] for code in train.inputs.flatten().tolist())
    assert whole.startswith(written)
    assert len(written) > 0.89 * len(whole)
    assert [len(part.inputs) for part in (validation, test)] == [871, 871]


def test_speeches_belong_to_who_says_them_first_and_occur_once(shared):
    shared("tinyshakespeare.txt")
    speeches, speakers = shakespeare.speeches(10)
    assert len(set(speeches)) == len(speeches) == len(speakers)
    assert np.bincount(speakers).tolist() == sorted(np.bincount(speakers), reverse=True)
    place = next(i for i, speech in enumerate(speeches) if "winter of our discontent" in speech)
    assert speakers[place] == 0


def test_words_the_training_set_lacks_are_no_words(shared):
    shared("tinyshakespeare.txt")
    loaded: Any = problems.load("sparse_text")
    used = loaded.train.inputs.unique()
    assert used.tolist() == list(range(len(used)))
    assert loaded.test.inputs.max() < len(used)


def test_logistic_regression_on_words_has_a_sparse_gradient(shared):
    shared("tinyshakespeare.txt")
    loaded: Any = problems.load("sparse_text")
    model, (inputs, targets) = loaded.make_model(0), loaded.train
    loaded.loss(model(inputs[:4]), targets[:4]).backward()
    assert model.weight.grad.is_sparse
    touched = model.weight.grad.coalesce().indices()[0]
    assert set(touched.tolist()) <= set(inputs[:4].unique().tolist())


def test_a_text_of_another_length_is_refused(nothing):
    (nothing / "tinyshakespeare.txt").write_text("Speak, speak.")
    with pytest.raises(BadFile, match="it has 13 characters, expected 1,115,394"):
        problems.load("char_lstm")


def test_a_downloaded_text_is_kept_beside_scikit_learns_data(nothing, monkeypatch):
    asked = []

    def answer(address, timeout):
        asked.append(address)
        return io.BytesIO(b"x" * 1_115_394)

    monkeypatch.setattr("urllib.request.urlopen", answer)
    assert shakespeare.text() == shakespeare.text()
    assert len(asked) == 1
    kept = list((nothing / "kept" / "thalweg").iterdir())
    assert [path.name for path in kept] == ["tinyshakespeare.txt"]
