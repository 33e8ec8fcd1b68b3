"""Arrays become splits, and a split is parted in two with its classes in proportion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.problems.problem import Split

if TYPE_CHECKING:
    import numpy as np


def as_split(images: np.ndarray, labels: np.ndarray) -> Split:
    """Return images (examples, ...) and labels (examples,) as a Split, one row for each image."""
    import torch

    inputs = torch.tensor(images, dtype=torch.float32).flatten(1)
    return Split(inputs, torch.tensor(labels, dtype=torch.int64))


def hold_out(split: Split, count: int) -> tuple[Split, Split]:
    """Part ``split`` in two, ``count`` examples in the second, every class in the same proportion.

    The same examples are held out on every call.
    """
    import torch
    from sklearn.model_selection import train_test_split

    indices = train_test_split(
        range(len(split.targets)), test_size=count, stratify=split.targets, random_state=0
    )
    kept, held = (torch.tensor(part) for part in indices)
    return Split(*(part[kept] for part in split)), Split(*(part[held] for part in split))
