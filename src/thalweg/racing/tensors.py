"""The data of a problem as tensors, which is what can be cut for many trainings at once."""

from __future__ import annotations

import torch
from torch import Tensor

from thalweg.errors import BadValue
from thalweg.problems import Problem, Split


def examples(problem: Problem, part: str) -> tuple[Tensor, Tensor]:
    """Return the inputs and targets of ``"train"``, ``"validation"`` or ``"test"`` as tensors.

    Raises BadValue where the problem has none, or has them as a Dataset or DataLoader.
    """
    data = getattr(problem, part)
    if not isinstance(data, Split):
        raise BadValue(
            f"the data of {problem.name} are a {type(data).__name__}, and only tensors and arrays "
            "can be cut for many trainings at once."
        )
    return torch.as_tensor(data.inputs), torch.as_tensor(data.targets)
