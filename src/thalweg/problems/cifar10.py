"""CIFAR-10, small colour photographs of ten kinds of things, from a local file or from OpenML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.problems.archive import Archive
from thalweg.problems.convolutional import convolutional
from thalweg.problems.perceptron import guess
from thalweg.problems.problem import Problem, Split
from thalweg.problems.scaling import standardise
from thalweg.problems.splits import hold_out

if TYPE_CHECKING:
    import numpy as np

_HELD_OUT = 2_000
_ARCHIVE = Archive("CIFAR-10", "cifar10_14k.npz", (32, 32, 3), "CIFAR_10_small", 2_000, _HELD_OUT)


def load() -> Problem:
    """Return a sample of CIFAR-10: 2,000 examples for validation, 2,000 for the test.

    The rest, 10,000 of the local file, is to train on. Reads ``cifar10_14k.npz`` from the folder
    named by the environment variable ``THALWEG_DATA``; where there is none, asks OpenML for
    ``CIFAR_10_small``. Raises BadFile where neither can be had. Source: Krizhevsky, Learning
    multiple layers of features from tiny images, 2009.
    """
    from torch.nn.functional import cross_entropy

    rest, test = (_as_split(*part) for part in _ARCHIVE.read())
    train, validation, test = standardise(*hold_out(rest, _HELD_OUT), test)
    return Problem(
        name="cifar10",
        description="CIFAR-10, 32 x 32 pixels, 10 classes; three convolutions, batch norm, dropout",
        make_model=convolutional(),
        train=train,
        validation=validation,
        test=test,
        loss=cross_entropy,
        batch_size=64,
        epochs=5,
        known={"parameters": 34_058, **guess(10)},
        threads=1,
    )


def _as_split(images: np.ndarray, labels: np.ndarray) -> Split:
    """Put channels first, as OpenML's flat rows have them; the file has them last."""
    import torch

    pixels = torch.tensor(images, dtype=torch.float32)
    if pixels.ndim == 4:
        pixels = pixels.permute(0, 3, 1, 2)
    inputs = pixels.reshape(-1, 3, 32, 32).contiguous()
    return Split(inputs, torch.tensor(labels, dtype=torch.int64))
