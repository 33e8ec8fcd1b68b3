"""Labelled images in the layout of Keras' archives: a file in THALWEG_DATA, or else OpenML."""

from __future__ import annotations

import os
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.errors import BadFile

if TYPE_CHECKING:
    import numpy as np

    Images = tuple[np.ndarray, np.ndarray]

_KEYS = ("x_train", "y_train", "x_test", "y_test")


def local(name: str) -> Path | None:
    """Return the file ``name`` in the folder that THALWEG_DATA names, None where there is none."""
    folder = os.environ.get("THALWEG_DATA")
    path = Path(folder or "", name)
    return path if folder and path.is_file() else None


def looked(name: str) -> str:
    """Say where ``local`` has looked in vain."""
    folder = os.environ.get("THALWEG_DATA")
    if not folder:
        return "the environment variable THALWEG_DATA is not set"
    return f"there is no file {Path(folder, name)} (THALWEG_DATA is {folder})"


@dataclass(frozen=True)
class Archive:
    """Images of ten classes, 0 to 9, in two parts, one to train on and one for the test.

    ``file`` holds uint8 images (examples, *``shape``). On OpenML the set is called ``openml`` and
    its last ``test`` rows are for the test. Of the training images ``held_out`` will be set aside.
    """

    title: str
    file: str
    shape: tuple[int, ...]
    openml: str
    test: int
    held_out: int

    def read(self) -> tuple[Images, Images]:
        """Return (images, labels) to train on and for the test, as arrays.

        From OpenML, which scikit-learn keeps on disk, each image is one row. Raises BadFile where
        the set can be had from neither, or the file is damaged.
        """
        path = local(self.file)
        return self._from_file(path) if path else self._from_openml()

    def _from_file(self, path: Path) -> tuple[Images, Images]:
        try:
            arrays = _read(path)
            self._check(arrays)
        except _Damaged as fault:
            raise BadFile(
                f"{path} cannot be used as {self.title}: {fault}. {self._remedy}."
            ) from fault
        images, labels, test_images, test_labels = (arrays[key] for key in _KEYS)
        return (images, labels), (test_images, test_labels)

    def _check(self, arrays: dict[str, np.ndarray]) -> None:
        for images, labels in (_KEYS[:2], _KEYS[2:]):
            _check_shapes(images, labels, arrays, self.shape)
            for name in (images, labels):
                if arrays[name].dtype.kind not in "ui":
                    kind = arrays[name].dtype
                    raise _Damaged(f"{name} holds {kind}, expected whole numbers (uint8)")
            if set(arrays[labels].tolist()) != set(range(10)):
                raise _Damaged(f"{labels} should hold each of the classes 0 to 9")
        if len(arrays["x_train"]) <= self.held_out:
            raise _Damaged(f"x_train should hold more than {self.held_out} examples")

    @property
    def _remedy(self) -> str:
        size = " x ".join(map(str, self.shape))
        return (
            f"Set THALWEG_DATA to a folder that holds an intact {self.file} "
            f"(arrays {', '.join(_KEYS)}; uint8; images {size})"
        )

    def _from_openml(self) -> tuple[Images, Images]:
        try:
            images, labels = _fetch(self.openml)
        except (OSError, ValueError) as error:
            reason = f"{looked(self.file)}, and OpenML did not answer ({error})"
            raise BadFile(
                f"{self.title} was not found: {reason}. {self._remedy}, or connect to a network."
            ) from error
        whole = images, labels.astype("int64")
        train, test = (
            tuple(part[rows] for part in whole)
            for rows in (slice(-self.test), slice(-self.test, None))
        )
        return train, test  # type: ignore[return-value]


class _Damaged(Exception):
    """What is wrong with an archive."""


def _read(path: Path) -> dict[str, np.ndarray]:
    import numpy as np

    try:
        zipfile.ZipFile(path).close()
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in _KEYS}
    except KeyError as error:
        raise _Damaged(f"it lacks an array ({error.args[0]})") from error
    except (OSError, ValueError, EOFError, AttributeError, zlib.error, zipfile.BadZipFile) as error:
        raise _Damaged(str(error) or type(error).__name__) from error


def _check_shapes(
    images: str, labels: str, arrays: dict[str, np.ndarray], expected: tuple[int, ...]
) -> None:
    shape, label_shape = arrays[images].shape, arrays[labels].shape
    if shape[1:] != expected:
        size = ", ".join(map(str, expected))
        raise _Damaged(f"{images} has shape {shape}, expected (examples, {size})")
    if label_shape != shape[:1]:
        raise _Damaged(f"{labels} has shape {label_shape}, expected {shape[:1]}")


def _fetch(name: str) -> Images:
    from sklearn.datasets import fetch_openml

    with warnings.catch_warnings(action="ignore"):
        return fetch_openml(name, version=1, return_X_y=True, as_frame=False)
