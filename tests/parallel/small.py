"""Small problems to train with several workers, and what is the same for all of them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from thalweg import parallel
from thalweg.parallel import Algorithm, InProcess, Job, Result
from thalweg.parallel.flat import vector_of
from thalweg.parallel.replica import Batches, Replica
from thalweg.training.data.forms import Rows

cross_entropy = nn.functional.cross_entropy


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
