"""What each of two processes does in the tests of `TorchEngine`, all of it in one group's life."""

import faulthandler
import os
import re
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from small import (
    Point,
    bowl,
    cross_entropy,
    data,
    fitted,
    job,
    line,
    linear_data,
    network,
    squares,
)
from torch import Tensor, nn
from torch.distributed import distributed_c10d

from thalweg import parallel
from thalweg.errors import ThalwegError
from thalweg.parallel import (
    Elastic,
    LocalUpdates,
    Pipeline,
    Progress,
    Result,
    Synchronous,
    TorchEngine,
    diloco,
)
from thalweg.parallel.flat import vector_of
from thalweg.parallel.replica import Batches
from thalweg.rules import chain, clip_by_global_norm, find
from thalweg.training.data.forms import Rows

PROCESSES = 2
WRAPS: Any = (None, "ddp", "fsdp2")
IN_STEP = {
    "local_sgd": LocalUpdates(lr=0.3, period=4),
    "diloco": diloco(0.01, 3),
    "easgd": Elastic(0.3, period=2, synchronous=True),
    "eamsgd": Elastic(0.1, 0.5, period=2, synchronous=True),
}
PIPELINES = {
    "gpipe": Pipeline(2, microbatches=4, schedule="gpipe"),
    "1f1b": Pipeline(2, microbatches=4, schedule="1f1b"),
}
UNCUT = Pipeline(2, microbatches=1, schedule="gpipe")
LR = 0.1


def two(algorithm: Any, **how: Any) -> Result:
    """Train the network by both processes."""
    return fitted(algorithm, PROCESSES, **{"engine": TorchEngine(timeout=30.0), **how})


# The same updates.


def path(wrap: Any, workers: int = PROCESSES) -> Tensor:
    """The parameters after each update of least squares, each process with batches of four."""
    found = [torch.zeros(6, dtype=torch.float64)]
    examples = 16 * workers if workers == PROCESSES else 12 * workers
    made = job(line(), squares, Synchronous("sgd", lr=LR), 5 * examples // 4,
               Batches(Rows(*linear_data(examples, 6)), 4, 2), workers=workers, every=workers,
               watch=lambda progress: found.append(progress.values()))  # fmt: skip
    TorchEngine(wrap).run(made)
    return torch.stack(found)


def smaller_batch(wrap: Any) -> Tensor:
    """One update of three examples in batches of two."""
    made = job(line(), squares, Synchronous("sgd", lr=1.0), 2,
               Batches(Rows(*linear_data(3, 6)), 2, 0), workers=PROCESSES)  # fmt: skip
    return TorchEngine(wrap).run(made)[0]


def one_too_few(wrap: Any) -> Tensor:
    """Two updates of three batches, of which the last is alone."""
    made = job(line(), squares, Synchronous("sgd", lr=LR), 3,
               Batches(Rows(*linear_data(12, 6)), 4, 0), workers=PROCESSES)  # fmt: skip
    return TorchEngine(wrap).run(made)[0]


def slope(output: Tensor, _: Tensor) -> Tensor:
    """A loss whose gradient is the same everywhere."""
    return output.mean()


def plane() -> nn.Module:
    made = nn.Linear(6, 4, dtype=torch.float64)
    for p in made.parameters():
        nn.init.zeros_(p)
    return made


def clipped(wrap: Any) -> Tensor:
    """Five steps of length 0.01 down a slope: the norm is that of the whole gradient."""
    rule = chain(clip_by_global_norm, find("sgd"), defaults={"max_norm": 0.1})
    made = job(plane(), slope, Synchronous(rule, lr=LR), 10,
               Batches(Rows(*linear_data(8, 6)), 8, 0), workers=PROCESSES)  # fmt: skip
    return TorchEngine(wrap).run(made)[0]


def in_step(name: str) -> Tensor:
    return vector_of(two(IN_STEP[name]).model)


def centres(momentum: float) -> list[float]:
    """The centre of two elastic workers after every round, on half the squared distance."""
    found: list[float] = []
    algorithm = Elastic(0.2, momentum, period=1, alpha=0.15, synchronous=True)
    TorchEngine().run(job(Point(1.0), bowl, algorithm, 60, workers=PROCESSES, every=PROCESSES,
                          watch=lambda now: found.append(float(now.values()))))  # fmt: skip
    return found


def pipeline_gradient(model: nn.Module, how: Pipeline, examples: int) -> Tensor:
    """The gradient of one batch, as far as one step of length one tells."""
    start = vector_of(model)
    found = parallel.fit(
        model, cross_entropy, data(examples), algorithm=Synchronous("sgd", lr=1.0),
        batch=examples, engine=TorchEngine(how),
    )  # fmt: skip
    return start - vector_of(found.model)


def pipeline(how: Pipeline) -> Tensor:
    """Two epochs of 45 examples, the last batch of which cannot be cut into four."""
    model = network()
    parallel.fit(
        model, cross_entropy, data(45), algorithm=Synchronous("adam", lr=0.1), batch=8, epochs=2,
        engine=TorchEngine(how),
    )  # fmt: skip
    return vector_of(model)


# The same result.


class Notes:
    """A run that keeps what it is told."""

    id = "notes"

    def __init__(self) -> None:
        self.told: list[str] = []

    def emit(self, name: str, step: int, value: float | None = None, data: Any = None) -> None:
        self.told.append(name)

    def flush(self) -> None:
        self.told.append("flush")

    def end(self, status: str) -> None:
        self.told.append("end")


def normalized() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))


def result(wrap: Any) -> dict[str, Any]:
    """A training of a model with statistics and dropout, and what was recorded of it."""
    notes = Notes()
    workers = 1 if isinstance(wrap, Pipeline) else PROCESSES
    found = parallel.fit(
        normalized(), cross_entropy, data(), data(20, 2), algorithm=Synchronous("adam", lr=0.1),
        workers=workers, batch=8, epochs=2, engine=TorchEngine(wrap), run=notes,
    )  # fmt: skip
    return {
        "state": found.model.state_dict(),
        "history": [tuple(point) for point in found.history],
        "receipts": {str(key): value for key, value in found.tally.receipts.items()},
        "recorded": notes.told,
    }


def not_always_finite(wrap: Any) -> dict[str, Any]:
    """One batch of the first round gives NaN."""

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        found = (output.squeeze(1) - targets).mean()
        return found * float("nan") if float(targets[0]) == 0 else found

    rows = torch.arange(8.0, dtype=torch.float64)
    batches = Batches(Rows(rows.unsqueeze(1).expand(8, 6).contiguous(), rows), 2, 0)
    poisoned = next(n for n in range(4) if float(batches.take(n)[1][0]) == 0)
    made = job(line(), loss, Synchronous("sgd", lr=LR), 4, batches, workers=PROCESSES)
    values, tally = TorchEngine(wrap).run(made)
    receipts = {str(key): value for key, value in tally.receipts.items()}
    return {"values": values, "receipts": receipts, "poisoned": poisoned}


class Reached(nn.Module):
    """A line beside a parameter that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.line, self.idle = line(), nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.line(inputs)
        return found


def unreached(wrap: Any) -> Tensor:
    made = job(Reached(), squares, Synchronous("sgd", lr=LR), 8,
               Batches(Rows(*linear_data(32, 6)), 4, 2), workers=PROCESSES)  # fmt: skip
    return TorchEngine(wrap).run(made)[0]


# What cannot work.


def broken(rank: int) -> Any:
    """A loss that raises an error in one process, when it is asked the sixth time."""
    calls = count()

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        if rank == 1 and next(calls) == 5:
            raise ArithmeticError("the loss of the user")
        return cross_entropy(output, targets)

    return loss


def refusals(rank: int) -> dict[str, str]:
    """What is said where the processes are not given the same to do, or one of them fails."""

    def train(model: nn.Module | None = None, loss: Any = cross_entropy, **how: Any) -> None:
        how = {"algorithm": Synchronous(), "engine": TorchEngine(), **how}
        parallel.fit(model or network(), loss, data(), workers=PROCESSES, **how)

    wide = nn.Sequential(nn.Linear(5, 4 + rank), nn.Tanh(), nn.Linear(4 + rank, 2))
    calls: dict[str, Callable[[], None]] = {
        "shape": lambda: train(wide),
        "seed": lambda: train(seed=rank),
        "algorithm": lambda: train(algorithm=Synchronous(lr=0.1 * (rank + 1))),
        "engine": lambda: train(engine=TorchEngine(WRAPS[rank])),
        "loss": lambda: train(loss=broken(rank), epochs=9),
        "loss in ddp": lambda: train(loss=broken(rank), epochs=9, engine=TorchEngine("ddp")),
    }
    return {name: said(call) for name, call in calls.items()}


def said(call: Callable[[], Any]) -> str:
    try:
        call()
    except (ThalwegError, ArithmeticError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def alone_at(port: int) -> str:
    """What the first process says where the second never comes."""
    os.environ["MASTER_PORT"] = str(port)
    return said(lambda: two(Synchronous(), engine=TorchEngine(timeout=1.0)))


def by_file(rank: int, folder: str) -> dict[str, Any]:
    """A training in a group that the program has made itself, over a file, and what is left."""
    place = f"file://{folder}/meeting"
    dist.init_process_group("gloo", place, rank=rank, world_size=PROCESSES)
    found = {"path": path(None), "stays": dist.is_initialized()}
    dist.destroy_process_group()
    return found


# Where processes listen.


def listening() -> list[str]:
    """The addresses that this process listens on, as Linux shows them: hexadecimal, then a port."""
    links = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    own = {found[1] for link in links if (found := re.match(r"socket:\[(\d+)\]", link))}
    tables = [Path("/proc/self/net") / name for name in ("tcp", "tcp6")]
    rows = [row.split() for t in tables if t.exists() for row in t.read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in own]


def listening_meanwhile(wrap: Any) -> list[str]:
    """The addresses that a process listens on while it trains."""
    found: list[str] = []

    def watch(_: Progress) -> None:
        found.extend(listening())

    made = job(line(), squares, Synchronous(), 8, Batches(Rows(*linear_data(32, 6)), 4, 2),
               workers=PROCESSES, watch=watch)  # fmt: skip
    TorchEngine(wrap).run(made)
    return found


UNPICKLED: list[str] = []


def begin(rank: int, size: int, port: int) -> None:
    """Let this process be one of so many, as torchrun does, and note what torch unpickles.

    Were it to hang, it would say where, and end.
    """
    faulthandler.dump_traceback_later(240, exit=True)
    torch.set_num_threads(1)
    unpickle = distributed_c10d._tensor_to_object

    def noted(*given: Any) -> Any:
        UNPICKLED.append(repr(unpickle(*given)))
        return unpickle(*given)

    distributed_c10d._tensor_to_object = noted
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip


def work(rank: int, folder: str, ports: list[int]) -> None:
    """Do everything as the process of a rank, and save what was found."""
    begin(rank, PROCESSES, ports[0])
    found: dict[str, Any] = {
        "path": {wrap: path(wrap) for wrap in WRAPS},
        "smaller_batch": {wrap: smaller_batch(wrap) for wrap in WRAPS},
        "one_too_few": {wrap: one_too_few(wrap) for wrap in WRAPS},
        "clipped": {wrap: clipped(wrap) for wrap in WRAPS},
        "in_step": {name: in_step(name) for name in IN_STEP},
        "centres": {momentum: centres(momentum) for momentum in (0.0, 0.5)},
        "pipeline_gradient": {
            name: pipeline_gradient(network(), how, 8) for name, how in PIPELINES.items()
        },
        "pipeline": {name: pipeline(how) for name, how in {**PIPELINES, "uncut": UNCUT}.items()},
        "result": {
            name: result(wrap)
            for name, wrap in {**{str(w): w for w in WRAPS}, "pipeline": PIPELINES["1f1b"]}.items()
        },
        "not_always_finite": {wrap: not_always_finite(wrap) for wrap in WRAPS},
        "unreached": {wrap: unreached(wrap) for wrap in WRAPS},
        "listening": {wrap: listening_meanwhile(wrap) for wrap in WRAPS},
        "refusals": refusals(rank),
        "by_file": by_file(rank, folder),
    }
    found["unpickled"] = UNPICKLED
    if rank == 0:
        found["alone"] = alone_at(ports[1])
    torch.save(found, Path(folder) / f"{rank}.pt")


# Three processes.


def deep() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Sequential(nn.Linear(5, 5), nn.Tanh()) for _ in range(4)))


def struck(rank: int, kind: signal.Signals, size: int) -> str:
    """What is said where the process of the last rank gets a signal amid the training."""

    calls = count()

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        if rank == size - 1 and next(calls) == 5:
            os.kill(os.getpid(), kind)
        return cross_entropy(output, targets)

    return said(
        lambda: parallel.fit(
            network(), loss, data(), algorithm=Synchronous(), workers=size, batch=8, epochs=9,
            engine=TorchEngine(timeout=15.0),
        )
    )  # fmt: skip


def endings(rank: int) -> list[str]:
    """What is said of twenty trainings in a row, each of which ends amid a backward pass."""
    engine = TorchEngine("ddp")
    return [
        said(
            lambda: parallel.fit(
                network(), broken(rank), data(), algorithm=Synchronous(), workers=3, epochs=9,
                engine=engine,
            )
        )
        for _ in range(20)
    ]  # fmt: skip


def three(rank: int, folder: str, ports: list[int]) -> None:
    """Train as one of three; the last is stopped then, and the second of the others is killed."""
    begin(rank, 3, ports[0])
    schedules: Any = ("gpipe", "1f1b")
    found: dict[str, Any] = {
        "path": {wrap: path(wrap, 3) for wrap in WRAPS},
        "pipeline": {
            name: pipeline_gradient(deep(), Pipeline(3, 4, name), 12) for name in schedules
        },
        "endings": endings(rank),
    }
    torch.save(found, Path(folder) / f"{rank}.pt")
    found["stopped"] = struck(rank, signal.SIGSTOP, 3)
    torch.save(found, Path(folder) / f"{rank}.pt")
    begin(rank, 2, ports[1])
    found["killed"] = struck(rank, signal.SIGKILL, 2)
    torch.save(found, Path(folder) / f"{rank}.pt")
