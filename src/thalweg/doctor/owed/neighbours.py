"""Do examples that lie close together share their class? Where labels are shuffled, they do not."""

from __future__ import annotations

import torch
from torch import Tensor

from thalweg.doctor.evidence import Neighbours
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock, Refused
from thalweg.doctor.watching.targets import label_batch

MOST, LEAST = 1024, 32
"""So many examples are compared with one another at most and at least."""


def neighbours(case: Case, clock: Clock) -> Neighbours:
    """Return how often an example's nearest other has its class, in the better of two distances.

    One is between the inputs as they are, the other with every feature at unit spread. Raises
    Refused where there are no classes, or too few examples.
    """
    inputs, classes = _examples(case)
    if len(classes) < LEAST or len(classes.unique()) < 2:
        raise Refused("too few examples of two classes were kept")
    spread = inputs.std(0)
    level = (inputs - inputs.mean(0)) / torch.where(spread > 0, spread, 1)
    shares = classes.unique(return_counts=True)[1] / len(classes)
    agreement = max(_agreement(inputs, classes), _agreement(level, classes))
    return Neighbours(len(classes), agreement, float((shares**2).sum()))


def _examples(case: Case) -> tuple[Tensor, Tensor]:
    rows, labels = [], []
    kind = type(case.loss_fn).__name__
    for each in case.passes:
        batch = next((t for t in each.tensors if t.is_floating_point() and t.ndim > 1), None)
        found = label_batch(each.step, each.rest[0], kind)
        if batch is None or found is None or len(found.classes) != len(batch):
            raise Refused("inputs are not floating-point numbers with a class for each example")
        rows.append(batch.detach().flatten(1).float().cpu())
        labels.append(torch.tensor(found.classes))
    inputs, classes = torch.cat(rows)[-MOST:], torch.cat(labels)[-MOST:]
    fresh = _first_of_each(inputs)
    return inputs[fresh], classes[fresh]


def _first_of_each(inputs: Tensor) -> Tensor:
    """Return the places of examples without those that came before: nobody neighbours himself."""
    _, group = torch.unique(inputs, dim=0, return_inverse=True)
    places = torch.full((int(group.max()) + 1,), len(inputs))
    return places.scatter_reduce(0, group, torch.arange(len(inputs)), "amin").sort().values


def _agreement(inputs: Tensor, classes: Tensor) -> float:
    distances = torch.cdist(inputs, inputs)
    distances.fill_diagonal_(torch.inf)
    return float((classes[distances.argmin(1)] == classes).float().mean())
