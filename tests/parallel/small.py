"""Small problems to train with several workers, and what is the same for all of them."""

import socket
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg import parallel
from thalweg.parallel import Algorithm, InProcess, Job, Result
from thalweg.parallel.flat import vector_of
from thalweg.parallel.replica import Batches, Replica
from thalweg.training.data.forms import Rows

cross_entropy = nn.functional.cross_entropy

UNIT = 2.0**-53
"""The rounding of one operation in float64."""


def data(count: int = 48, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 5, generator=generator)
    return inputs, (inputs.sum(1) > 0).long()


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype)


def fitted(algorithm: Algorithm, workers: int = 1, **how: Any) -> Result:
    """Train the network in three epochs of batches of eight, unless told otherwise."""
    how = {"batch": 8, "epochs": 3, "seed": 5, **how}
    return parallel.fit(
        network(), cross_entropy, data(), algorithm=algorithm, workers=workers, **how
    )


class Point(nn.Module):
    """Parameters that answer themselves, whatever they are asked."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.x.expand(len(inputs), -1)


def bowl(output: Tensor, _: Tensor) -> Tensor:
    """Half the squared distance from zero, whose gradient is the point."""
    return (output * output).sum(1).mean() / 2


def job(
    model: nn.Module,
    loss: Callable[..., Tensor],
    algorithm: Algorithm,
    gradients: int,
    batches: Batches | None = None,
    **how: Any,
) -> Job:
    """Return a job of so many gradients, of one example each that says nothing by default."""
    nothing = torch.zeros(1, 1)
    replica = Replica(model, loss, batches or Batches(Rows(nothing, nothing), 1, 0))
    return Job(algorithm, replica, vector_of(model), gradients, **how)


def logged(made: Job, engine: InProcess | None = None) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """Run a job; return its end, and at which parameters which batch was measured, in order."""
    asked: list[tuple[int, Tensor]] = []
    measure = made.replica.measure

    def note(at: Tensor, number: int) -> Any:
        asked.append((number, at.clone()))
        return measure(at, number)

    made.replica.measure = note  # type: ignore[method-assign]
    values, _ = (engine or InProcess()).run(made)
    return values, asked


# Least squares, for which roundings can be counted.


def linear_data(examples: int, features: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(examples, features, dtype=torch.float64, generator=generator)
    return inputs, inputs @ torch.linspace(-1, 1, features, dtype=torch.float64)


def squares(output: Tensor, targets: Tensor) -> Tensor:
    return ((output.squeeze(1) - targets) ** 2).mean() / 2


def line() -> nn.Module:
    made = nn.Linear(6, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(made.weight)
    return made


def roundings_of_the_gradient(x: Tensor, y: Tensor, w: Tensor, terms: int) -> Tensor:
    """Bound what a sum of so many rounded terms makes of the gradient of least squares.

    Each term passes through at most *terms* operations, whatever the order of the sums.
    """
    size = x.abs().T @ (x.abs() @ w.abs() + y.abs()) / len(y)
    return 1.01 * terms * UNIT * size


def apart_by_rounding(path: Tensor, batches: Batches, lr: float, workers: int) -> Tensor:
    """Bound how far another descent by the same gradients can be from each place of a path.

    What they were apart passes through the gradient, and both round anew.
    """
    found = [torch.zeros_like(path[0])]
    for step, (w, after) in enumerate(pairwise(path)):
        x, y = batches.take(step)
        own = roundings_of_the_gradient(x, y, w, len(x) + x.shape[1] + workers + 4)
        passed = x.abs().T @ (x.abs() @ found[-1]) / len(x)
        found.append(found[-1] + lr * (passed + 2 * own) + 4 * UNIT * (w.abs() + after.abs()))
    return torch.stack(found)


# The equations of elastic averaging.


def elastic_path(p: int, rounds: int, lr: float, alpha: float, delta: float, sync: bool) -> Any:
    """The centre after every round of EASGD and EAMSGD on half the squared distance from zero."""
    x, v, centre, found = np.full(p, 1.0), np.zeros(p), 1.0, []
    for _ in range(rounds):
        old = centre
        for i in range(p):
            d = alpha * (x[i] - (old if sync else centre))
            v[i] = delta * v[i] - lr * (x[i] + delta * v[i])
            x[i] += v[i] - d
            centre += d
        found.append(centre)
    return found


# Processes that meet.


def free_ports(count: int) -> list[int]:
    """Ports of this machine where nothing listens."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in listeners]
    for each in listeners:
        each.close()
    return ports
