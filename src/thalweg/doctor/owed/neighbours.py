"""Is the class of an example told by the others? Where labels are shuffled, it is not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from thalweg.doctor.evidence import Neighbours
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock, Refused
from thalweg.doctor.watching.passes import Pass
from thalweg.doctor.watching.targets import label_batch

MOST, LEAST = 1024, 32
"""So many examples are compared with one another at most and at least."""

WIDE = 2**15
"""So many features an example may have when its tokens are spread out."""


def neighbours(case: Case, clock: Clock) -> Neighbours:
    """Return how often an example has the class of its nearest other, and how often all tell it.

    Distances are between the inputs as they are, and with every feature at unit spread; the better
    counts. Tokens are counted, and spread out by position; where each has a class of its own, it
    is an example. Raises Refused where there are no classes, too few examples, or inputs
    that are not finite.
    """
    inputs, classes = _examples(case)
    if len(classes) < LEAST or len(classes.unique()) < 2:
        raise Refused("too few examples of two classes were kept")
    if not inputs.isfinite().all():
        raise Refused("the inputs are not all finite")
    spread = inputs.std(0)
    level = (inputs - inputs.mean(0)) / torch.where(spread > 0, spread, 1)
    shares = classes.unique(return_counts=True)[1] / len(classes)
    agreement = max(_agreement(inputs, classes), _agreement(level, classes))
    told = max(_told(_linear(level), classes, 1.0), _told(_nearness(level), classes, 0.1))
    chance, commonest = float((shares**2).sum()), float(shares.max())
    return Neighbours(len(classes), agreement, chance, told, commonest)


def _examples(case: Case) -> tuple[Tensor, Tensor]:
    """Return the inputs that were kept as rows of numbers, and their classes."""
    kind = type(case.loss_fn).__name__
    rows, labels = zip(*[_of_pass(each, kind) for each in case.passes], strict=True)
    if len({each.shape[1] for each in rows}) > 1 or len({each.shape[1] for each in labels}) > 1:
        raise Refused("the inputs differ in length")
    inputs, classes = torch.cat(rows), torch.cat(labels)
    fresh = _first_of_each(inputs)
    inputs, classes = _features(inputs[fresh], classes[fresh])
    apart = -(-len(inputs) // MOST)
    return inputs[::apart], classes[::apart]


def _of_pass(each: Pass, kind: str) -> tuple[Tensor, Tensor]:
    """Return the inputs of one pass and their classes, a row of each for each example."""
    batch = next((t for t in each.tensors if t.ndim > 1), None)
    found = label_batch(each.step, each.rest[0], kind)
    if batch is None or found is None or not found.classes or len(found.classes) % len(batch):
        raise Refused("there are no inputs with a class for each example")
    rows = batch.detach().flatten(1).cpu()
    return rows, torch.tensor(found.classes).reshape(len(rows), -1)


def _features(inputs: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return one row of numbers for each class."""
    tokens = not inputs.is_floating_point()
    if tokens and classes.shape == inputs.shape:
        return _spread_out(inputs.reshape(-1, 1)), classes.reshape(-1)
    if classes.shape[1] > 1:
        raise Refused("there are no inputs with a class for each example")
    return _spread_out(inputs) if tokens else inputs.float(), classes.reshape(-1)


def _spread_out(tokens: Tensor) -> Tensor:
    """Return a column for each token at each position and one for how often each is there."""
    tokens = tokens.long() - tokens.min()
    if tokens.shape[1] * (int(tokens.max()) + 1) > WIDE:
        return tokens.float()
    columns = F.one_hot(tokens).float()
    return torch.cat([columns.flatten(1), columns.sum(1)], 1)


def _first_of_each(inputs: Tensor) -> Tensor:
    """Return the places of examples without those that came before: nobody neighbours himself."""
    _, group = torch.unique(inputs, dim=0, return_inverse=True)
    places = torch.full((int(group.max()) + 1,), len(inputs))
    return places.scatter_reduce(0, group, torch.arange(len(inputs)), "amin").sort().values


def _agreement(inputs: Tensor, classes: Tensor) -> float:
    distances = torch.cdist(inputs, inputs)
    distances.fill_diagonal_(torch.inf)
    return float((classes[distances.argmin(1)] == classes).float().mean())


def _linear(level: Tensor) -> Tensor:
    return 1 + level @ level.T / level.shape[1]


def _nearness(level: Tensor) -> Tensor:
    distances = torch.cdist(level, level) ** 2
    return torch.exp(-distances / distances.median().clamp(min=1e-12))


def _told(kernel: Tensor, classes: Tensor, ridge: float) -> float:
    """Return how often a ridge regression over all other examples tells the class of one."""
    sought = F.one_hot(classes.unique(return_inverse=True)[1]).double()
    inverse = torch.linalg.inv(kernel.double() + ridge * torch.eye(len(kernel)))
    left_out = sought - inverse @ sought / inverse.diagonal()[:, None]
    return float((left_out.argmax(1) == sought.argmax(1)).double().mean())
