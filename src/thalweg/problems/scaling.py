"""Inputs are centred and scaled by what the training set says, and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thalweg.problems.problem import Split

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Scaling:
    """Called with inputs, it subtracts ``mean`` and divides by ``deviation``."""

    mean: Tensor
    deviation: Tensor

    def __call__(self, inputs: Any) -> Tensor:
        """Return the scaled inputs as a new tensor."""
        import torch

        return (torch.as_tensor(inputs) - self.mean) / self.deviation


def fit_scaling(inputs: Any, per_feature: bool = False) -> Scaling:
    """Return the scaling that gives ``inputs`` (examples, ...) mean 0 and variance 1.

    One mean and one deviation for all features, so that a pixel that is nearly always blank is not
    blown up, or ``per_feature`` one for each. What is constant is centred and left unscaled. Fit it
    to the training set alone.
    """
    import torch

    given = torch.as_tensor(inputs)
    floats = given if given.is_floating_point() else given.float()
    rows = floats if per_feature else floats.flatten()
    varies = rows.amin(0) < rows.amax(0)
    return Scaling(rows.mean(0), torch.where(varies, rows.std(0), torch.ones_like(rows[0])))


def standardise(train: Split, *others: Split) -> tuple[Split, ...]:
    """Scale the inputs of all splits by one mean and one deviation, those of ``train``."""
    scaling = fit_scaling(train.inputs)
    return tuple(split._replace(inputs=scaling(split.inputs)) for split in (train, *others))
