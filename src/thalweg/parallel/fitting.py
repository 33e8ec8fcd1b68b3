"""`fit`: train a model with several workers, by any algorithm and on any engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from thalweg.arguments import check_count
from thalweg.errors import BadType
from thalweg.parallel.algorithms.algorithm import Algorithm
from thalweg.parallel.compression import Compression, Whole
from thalweg.parallel.engine import Engine, Job, Progress
from thalweg.parallel.flat import vector_of
from thalweg.parallel.inproc.engine import InProcess
from thalweg.parallel.replica import Batches, Replica
from thalweg.parallel.result import Point, Result
from thalweg.training.data.batches import check_size
from thalweg.training.data.forms import Examples, as_data
from thalweg.training.evaluation import evaluate
from thalweg.training.fitting import check_model_and_data

if TYPE_CHECKING:
    from thalweg.training.study.notes import Notes


def fit(
    model: nn.Module,
    loss: Callable[[Any, Any], Tensor],
    train: Any,
    valid: Any = None,
    *,
    algorithm: Algorithm,
    workers: int = 1,
    engine: Engine | None = None,
    batch: int | Literal["all"] = 32,
    epochs: int = 1,
    seed: int = 0,
    shards: int = 1,
    compress: Compression | None = None,
    run: Notes | None = None,
) -> Result:
    """Train *model* in place with so many workers and return how it went.

    Data, loss and batches are those of `thalweg.training.fit`; a worker's gradient is of one batch,
    and the workers share the batches of every epoch between them. The engine simulates in this
    process unless another is given. *shards* hold the parameters, each a part; *compress* makes
    what is pushed to them smaller, as ``BFloat16()`` and ``TopK(0.01)`` do. Where the training
    stands after each epoch goes to *run*, a run of a record.

    The model gets the server's parameters in the end. Other state, such as the statistics of batch
    normalization, is that of the model in this process, which saw the batches of all workers.

    Raises BadValue or BadType before the first gradient for what cannot work.
    """
    _check(algorithm, engine, compress)
    for name, value, low in (("workers", workers, 1), ("epochs", epochs, 1), ("seed", seed, 0)):
        check_count(name, value, low)
    examples = _examples(train)
    check_model_and_data(model, loss, train, valid)
    check_size(batch, len(examples))
    batches = Batches(examples, batch, seed)
    replica = Replica(model, loss, batches)
    engine = engine or InProcess()
    watch = Watch(replica, valid, run if engine.leads else None)
    gradients = batches.per_epoch * epochs
    job = Job(
        algorithm,
        replica,
        vector_of(model),
        gradients,
        workers,
        shards,
        batches.per_epoch,
        watch,
        compress or Whole(),
    )
    values, tally = engine.run(job)
    replica.load(values)
    return Result(model, tuple(watch.history), tally)


def _check(algorithm: Any, engine: Any, compress: Any) -> None:
    if not isinstance(algorithm, Algorithm):
        raise BadType(f"algorithm={algorithm!r}; expected one such as Downpour('adagrad', lr=0.1).")
    if engine is not None and not isinstance(engine, Engine):
        raise BadType(f"engine={engine!r}; expected one such as InProcess().")
    if compress is not None and not isinstance(compress, Compression):
        raise BadType(f"compress={compress!r}; expected one such as BFloat16().")


def _examples(train: Any) -> Examples:
    data = as_data(train)
    if not isinstance(data, Examples):
        raise BadType(
            "the training data are a loader, which cuts its own batches in its own order; workers "
            "share batches by number. Pass its data set, or a pair (inputs, targets)."
        )
    return data


class Watch:
    """Judges the server's parameters while a training runs, and keeps the history."""

    def __init__(self, replica: Replica, valid: Any, run: Notes | None) -> None:
        self.replica, self.valid, self.run = replica, valid, run
        self.history: list[Point] = []

    def __call__(self, progress: Progress) -> None:
        """Note where the training stands."""
        loss, accuracy = self._judged(progress.values())
        point = Point(*progress[:5], loss, accuracy)
        self.history.append(point)
        if self.run is not None:
            self.run.emit("loss", point.gradients, point.running_loss)
            self.run.emit("parallel", point.gradients, loss, point._asdict())

    @torch.no_grad()
    def _judged(self, values: Tensor | None) -> tuple[float | None, float | None]:
        if self.valid is None or values is None:
            return None, None
        self.replica.load(values)
        return evaluate(self.replica.model, self.replica.loss, self.valid)
