"""Pushes 40 MB to a shard on Ray, on one machine, and waits until it is applied.

    python benchmarks/shard.py            the table
    python benchmarks/shard.py --write    also put it into benchmarks/README.md

One push is 10 M float32 and one update of the rule at the server. The worker's side copies them into
Ray's shared memory, the shard reads them there; beside it stands a plain copy of as many bytes in
one process. Medians of the rounds; the bar is 4 GB/s.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from step import machine, write

from thalweg.parallel import Layout, Serving
from thalweg.parallel.cluster.connection import connected
from thalweg.parallel.cluster.servers import Server
from thalweg.parallel.cluster.wire import boxed, packed, sealed
from thalweg.parallel.compression import Whole
from thalweg.rules import find

SIZE, WANTED = 10_000_000, 4.0
HEAD = (
    "| rule | push + apply, ms | GB/s | fastest – slowest, ms | a copy alone, ms | wanted, GB/s | "
    "reached |\n|---|---:|---:|---|---:|---:|---|"
)


def timed(action: Callable[[], Any], rounds: int) -> Iterator[float]:
    """Yield the milliseconds of each round, after three that do not count."""
    for number in range(rounds + 3):
        begun = time.perf_counter()
        action()
        if number >= 3:
            yield 1000 * (time.perf_counter() - begun)


def pushes(ray: Any, rule: str, folder: Path, rounds: int) -> list[float]:
    """Return the milliseconds from a push to its receipt."""
    layout = Layout(("weight",), ((SIZE,),), torch.float32)
    gradient = torch.randn(SIZE)
    server = (
        ray.remote(Server)
        .options(num_cpus=0)
        .remote(
            layout, range(SIZE), packed(torch.zeros(SIZE)), sealed(Serving(find(rule))), folder,
            10**9,
        )
    )  # fmt: skip
    ray.get(server.join.remote("me", layout))
    part = ray.get(server.pull.remote("me", None, 1.0))
    sequence = iter(range(1, 10**9))

    def push() -> None:
        box = boxed(Whole().compressor()(gradient))
        receipt = ray.get(server.push.remote(box, part.version, "me", next(sequence), 1.0))
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
        for rule in ("sgd", "adagrad"):
            found = pushes(ray, rule, Path(folder) / rule, chosen.rounds)
            median = statistics.median(found)
            speed = SIZE * 4 / median / 1e6
            lines.append(
                f"| {rule} | {median:.1f} | **{speed:.2f}** | {min(found):.1f} – {max(found):.1f} "
                f"| {copy:.1f} | {WANTED:g} | {'yes' if speed >= WANTED else 'no'} |"
            )
            print(lines[-1], flush=True)
    if chosen.write:
        write({"shard": lines})


if __name__ == "__main__":
    main()
