"""Pushes 40 MB to a shard on Ray, on one machine, and waits until it is applied.

    python benchmarks/shard.py            the table
    python benchmarks/shard.py --write    also put it into benchmarks/README.md

One push is 10 M float32 and one update of the rule at the server. A worker copies them into memory
that it shares with the shard, which reads them there. Alone, a worker waits for the receipt of
every push; in turns, two workers push, and one copies while the shard applies what the other sent.
Beside them stands a plain copy of as many bytes in one process. Medians of the rounds; the bar is
4 GB/s.
"""

import argparse
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count, product
from pathlib import Path
from typing import Any

import torch
from step import machine, write

from thalweg.parallel import Layout, Serving
from thalweg.parallel.cluster.connection import connected
from thalweg.parallel.cluster.outbox import Outbox
from thalweg.parallel.cluster.servers import Server
from thalweg.parallel.cluster.wire import packed, sealed
from thalweg.parallel.compression import Whole
from thalweg.rules import find

SIZE, WANTED = 10_000_000, 4.0
HEAD = (
    "| rule | workers | push + apply, ms | GB/s | fastest – slowest, ms | a copy, ms | wanted | "
    "reached |\n|---|---|---:|---:|---|---:|---:|---|"
)


def timed(action: Callable[[], Any], rounds: int) -> Iterator[float]:
    """Yield the milliseconds of each round, after three that do not count."""
    for number in range(rounds + 3):
        begun = time.perf_counter()
        action()
        if number >= 3:
            yield 1000 * (time.perf_counter() - begun)


def pushes(ray: Any, rule: str, folder: Path, rounds: int, ahead: int) -> list[float]:
    """Return the milliseconds of a push, sent before the receipts of *ahead* others have come."""
    layout = Layout(("weight",), ((SIZE,),), torch.float32)
    gradient = torch.randn(SIZE)
    server = (
        ray.remote(Server)
        .options(num_cpus=0)
        .remote(layout, range(SIZE), sealed(Serving(find(rule))), folder, 10**9)
    )
    ray.get(server.begin.remote(packed(torch.zeros(SIZE))))
    names = [f"worker {k}" for k in range(ahead + 1)]
    for name in names:
        ray.get(server.join.remote(name, layout))
    version = ray.get(server.pull.remote(names[0], None, 1.0)).version
    outboxes = [Outbox(Whole().compressor()) for _ in names]
    number, sent = count(), deque()

    def push() -> None:
        sequence, worker = divmod(next(number), len(names))
        box = outboxes[worker].boxed(gradient)
        sent.append(server.push.remote(box, version, names[worker], sequence + 1, 1.0))
        if len(sent) > ahead:
            receipt = ray.get(sent.popleft())
            assert receipt.outcome == "applied", receipt

    return list(timed(push, rounds))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    source, target = torch.randn(SIZE), torch.empty(SIZE)
    copy = statistics.median(timed(lambda: target.copy_(source), chosen.rounds))
    print(machine(), "\n", HEAD, sep="\n", flush=True)
    lines = [HEAD]
    with connected(None, 2, 60.0) as ray, tempfile.TemporaryDirectory() as folder:
        for rule, ahead in product(("sgd", "adagrad"), (0, 1)):
            place = Path(folder) / f"{rule}-{ahead}"
            found = pushes(ray, rule, place, chosen.rounds, ahead)
            median = statistics.median(found)
            speed = SIZE * 4 / median / 1e6
            lines.append(
                f"| {rule} | {'two in turns' if ahead else 'one alone'} | {median:.1f} | "
                f"**{speed:.2f}** | {min(found):.1f} – {max(found):.1f} | {copy:.1f} | {WANTED:g} "
                f"| {'yes' if speed >= WANTED else 'no'} |"
            )
            print(lines[-1], flush=True)
    if chosen.write:
        write({"shard": lines})


if __name__ == "__main__":
    main()
