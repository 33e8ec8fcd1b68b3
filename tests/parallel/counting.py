"""A training whose end tells how often each gradient was applied.

The loss is minus the answer of a line without a bias to one row of the identity, so that the
gradient of batch k is minus the k-th unit vector, and plain descent at learning rate 1 makes the
k-th parameter the number of times that this gradient was applied.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from small import job
from torch import Tensor, nn

from thalweg.parallel import Algorithm, Downpour, Engine, Job, Outcome, Tally
from thalweg.parallel.replica import Batches
from thalweg.training import InOrder
from thalweg.training.data.forms import Rows

COUNT = 120

PLAIN = Downpour("sgd", lr=1.0, divide=False, warm_start=0, staleness=10**6)
"""Every push is one update by its gradient alone."""

REFUSED = (Outcome.UNKNOWN, Outcome.STRANGER, Outcome.STALE, Outcome.NONFINITE)


def minus(output: Tensor, _: Tensor) -> Tensor:
    return -output.sum()


def slowly(output: Tensor, _: Tensor) -> Tensor:
    """The same, with time for something to happen."""
    time.sleep(0.03)
    return -output.sum()


def line(width: int = COUNT) -> nn.Module:
    made = nn.Linear(width, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(made.weight)
    return made


def batches(width: int = COUNT) -> Batches:
    made = Batches(Rows(torch.eye(COUNT, width, dtype=torch.float64), torch.zeros(COUNT)), 1, 0)
    made.order = InOrder()
    return made


def counting(
    algorithm: Algorithm, loss: Callable[..., Tensor] = minus, width: int = COUNT, **how: Any
) -> Job:
    """The job of measuring each gradient once; of *width* parameters only the first ones move."""
    return job(line(width), loss, algorithm, COUNT, batches(width), **how)


def counted(algorithm: Algorithm, engine: Engine, **how: Any) -> tuple[np.ndarray, Tally]:
    """How often each gradient was applied, and the tally."""
    values, tally = engine.run(counting(algorithm, **how))
    return values.numpy(), tally


def check_ledger(applied: np.ndarray, tally: Tally) -> None:
    """Fail where a gradient was applied twice, or is missing and not counted as lost."""
    assert set(applied) <= {0.0, 1.0}
    refused = sum(n for outcome, n in tally.receipts.items() if outcome in REFUSED)
    counts = tally.lost_gradients + tally.lost_pushes + tally.lost_updates + refused
    assert (applied == 0).sum() <= counts + tally.undealt
