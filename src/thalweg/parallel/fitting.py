"""`fit`: train a model with several workers, by any algorithm and on any engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.parallel.algorithms.algorithm import Algorithm, check_algorithm
from thalweg.parallel.compression import Compression, Whole
from thalweg.parallel.engine import Engine, Job, Tally
from thalweg.parallel.flat import vector_of
from thalweg.parallel.inproc.engine import InProcess
from thalweg.parallel.replica import Batches, Replica
from thalweg.parallel.result import Interrupted, Result
from thalweg.parallel.stop import Stop
from thalweg.parallel.watching import Listener, Nobody, Watch
from thalweg.training.data.batches import check_size
from thalweg.training.data.forms import Examples, as_data
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
    looks: int = 1,
    run: Notes | None = None,
    listener: Listener | None = None,
) -> Result:
    """Train *model* in place with so many workers and return how it went.

    Data, loss and batches are those of `thalweg.training.fit`; a worker's gradient is of one batch,
    and the workers share the batches of every epoch between them. The engine simulates in this
    process unless another is given. *shards* hold the parameters, each a part; *compress* makes
    what is pushed to them smaller, as ``BFloat16()`` and ``TopK(0.01)`` do. The parameters are
    judged *looks* times an epoch. That, the running loss, and in the end what became of all pushes,
    go to *run*, a run of a record; *listener* hears of every gradient.

    The model gets the server's parameters in the end. Other state, such as the statistics of batch
    normalization, is that of the model in this process, which saw the batches of all workers.

    From the first gradient on, where the engine is stoppable, SIGINT and SIGTERM let the workers
    finish what they have begun. Then Interrupted is raised with the result so far; a second SIGINT
    does not wait.

    Raises BadValue or BadType before the first gradient for what cannot work.
    """
    _check(model, algorithm, engine, compress)
    for name, value in (("workers", workers), ("epochs", epochs), ("looks", looks)):
        check_count(name, value)
    check_count("seed", seed, 0)
    examples = _examples(train)
    check_model_and_data(model, loss, train, valid)
    check_size(batch, len(examples))
    batches = Batches(examples, batch, seed)
    replica = Replica(model, loss, batches)
    engine, listener = engine or InProcess(), listener or Nobody()
    gradients = batches.per_epoch * epochs
    watch = Watch(replica, valid, gradients, run if engine.leads else None, listener)
    listener.begins(workers, gradients, epochs, engine.unit)
    job = Job(
        algorithm, replica, vector_of(model), gradients, workers, shards,
        Fraction(batches.per_epoch, looks), watch, watch.hear, compression=compress or Whole(),
    )  # fmt: skip
    values, tally, signal = _carried_out(engine, job, watch)
    replica.load(values)
    watch.end(tally)
    result = Result(model, tuple(watch.history), tuple(watch.losses), tally, watch.began)
    if signal is not None:
        raise Interrupted(_stopped(result, gradients), signal, result)
    return result


def _carried_out(engine: Engine, job: Job, watch: Watch) -> tuple[Tensor, Tally, int | None]:
    """Run a job; return parameters, what happened, and the signal that ended it early."""
    with Stop() as stop:
        if engine.stoppable:
            watch.at_first = stop.listen
        values, tally = engine.run(replace(job, stopped=stop.asked))
    return values, tally, stop.signal


def _stopped(result: Result, gradients: int) -> str:
    done = sum(result.tally.measured.values())
    return f"Stopped after {done:,} of {gradients:,} gradients."


def _check(model: Any, algorithm: Any, engine: Any, compress: Any) -> None:
    if not isinstance(model, nn.Module):
        raise BadType(f"model is {model!r:.60}; expected a module.")
    check_algorithm(algorithm)
    if engine is not None and not isinstance(engine, Engine):
        raise BadType(f"engine={engine!r}; expected one such as InProcess().")
    if compress is not None and not isinstance(compress, Compression):
        raise BadType(f"compress={compress!r}; expected one such as BFloat16().")
    if not algorithm.compressible and not isinstance(compress, Whole | None):
        raise BadValue(
            f"compress={compress!r}; what a worker of {type(algorithm).__name__} pushes moves that "
            "worker too, and has to arrive whole. Leave compress out."
        )


def _examples(train: Any) -> Examples:
    data = as_data(train)
    if not isinstance(data, Examples):
        raise BadType(
            "the training data are a loader, which cuts its own batches in its own order; workers "
            "share batches by number. Pass its data set, or a pair (inputs, targets)."
        )
    return data
