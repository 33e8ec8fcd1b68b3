"""MNIST, 70,000 handwritten digits of 28 x 28 pixels, from a local file or from OpenML."""

from __future__ import annotations

import os
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.errors import BadFile
from thalweg.problems.perceptron import known, perceptron
from thalweg.problems.problem import Problem, Split
from thalweg.problems.scaling import standardise
from thalweg.problems.splits import as_split, hold_out

if TYPE_CHECKING:
    import numpy as np

_WIDTHS = (784, 200, 10)
_HELD_OUT = 10_000
_KEYS = ("x_train", "y_train", "x_test", "y_test")
_TRAIN, _TEST = slice(60_000), slice(60_000, None)
_REMEDY = (
    "Set THALWEG_DATA to a folder that holds an intact mnist.npz "
    f"(arrays {', '.join(_KEYS)}; uint8; images 28 x 28)"
)


def load() -> Problem:
    """Return MNIST: 50,000 examples to train on, 10,000 for validation, 10,000 for the test.

    Reads ``mnist.npz`` from the folder named by the environment variable ``THALWEG_DATA``; where
    there is none, asks OpenML for ``mnist_784``, which scikit-learn then keeps on disk. Raises
    BadFile where neither can be had. Source: LeCun, Cortes and Burges, The MNIST database, 1998.
    """
    from torch.nn.functional import cross_entropy

    path = _local_file()
    rest, test = _from_file(path) if path else _from_openml()
    train, validation, test = standardise(*hold_out(rest, _HELD_OUT), test)
    return Problem(
        name="mnist",
        description="MNIST, 28 x 28 pixels, 10 classes; perceptron 784-200-10 with ReLU",
        make_model=perceptron(*_WIDTHS),
        train=train,
        validation=validation,
        test=test,
        loss=cross_entropy,
        batch_size=128,
        epochs=5,
        known=known(*_WIDTHS),
        threads=1,
    )


def _local_file() -> Path | None:
    folder = os.environ.get("THALWEG_DATA")
    path = Path(folder or "", "mnist.npz")
    return path if folder and path.is_file() else None


def _from_file(path: Path) -> tuple[Split, Split]:
    arrays = _read(path)
    _check(path, arrays)
    images, labels, test_images, test_labels = (arrays[key] for key in _KEYS)
    return as_split(images, labels), as_split(test_images, test_labels)


def _read(path: Path) -> dict[str, np.ndarray]:
    import numpy as np

    try:
        zipfile.ZipFile(path).close()
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in _KEYS}
    except KeyError as error:
        raise _damaged(path, f"it lacks an array ({error.args[0]})") from error
    except (OSError, ValueError, EOFError, AttributeError, zlib.error, zipfile.BadZipFile) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    for images, labels in (_KEYS[:2], _KEYS[2:]):
        shape, label_shape = arrays[images].shape, arrays[labels].shape
        if shape[1:] != (28, 28):
            raise _damaged(path, f"{images} has shape {shape}, expected (examples, 28, 28)")
        if label_shape != shape[:1]:
            raise _damaged(path, f"{labels} has shape {label_shape}, expected {shape[:1]}")
        for name in (images, labels):
            if arrays[name].dtype.kind not in "ui":
                kind = arrays[name].dtype
                raise _damaged(path, f"{name} holds {kind}, expected whole numbers (uint8)")
        if set(arrays[labels].tolist()) != set(range(10)):
            raise _damaged(path, f"{labels} should hold each of the classes 0 to 9")
    if len(arrays["x_train"]) <= _HELD_OUT:
        raise _damaged(path, f"x_train should hold more than {_HELD_OUT} examples")


def _damaged(path: Path, reason: str) -> BadFile:
    return BadFile(f"{path} cannot be used as MNIST: {reason}. {_REMEDY}.")


def _from_openml() -> tuple[Split, Split]:
    try:
        images, labels = _fetch()
    except (OSError, ValueError) as error:
        reason = f"{_looked()}, and OpenML did not answer ({error})"
        raise BadFile(
            f"MNIST was not found: {reason}. {_REMEDY}, or connect to a network."
        ) from error
    whole = as_split(images, labels.astype("int64"))
    train, test = (Split(*(part[rows] for part in whole)) for rows in (_TRAIN, _TEST))
    return train, test


def _fetch() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import fetch_openml

    with warnings.catch_warnings(action="ignore"):
        return fetch_openml("mnist_784", version=1, return_X_y=True, as_frame=False)


def _looked() -> str:
    folder = os.environ.get("THALWEG_DATA")
    if not folder:
        return "the environment variable THALWEG_DATA is not set"
    return f"there is no file {Path(folder, 'mnist.npz')} (THALWEG_DATA is {folder})"
