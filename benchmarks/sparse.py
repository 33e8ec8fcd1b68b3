"""Times an update of some rows of a large table against torch's SparseAdam, side by side.

    python benchmarks/sparse.py            the table
    python benchmarks/sparse.py --write    also put it into benchmarks/README.md

In each round both get the same new gradient, with its rows in no order and some of them twice;
adding those up is part of the time. A ratio is torch's time over ours, so more is better.
"""

import argparse
import statistics
import time

import torch
from step import machine, write
from turns import ratios, spread, verdict

from thalweg import optim

ROWS, WIDTH = 1_000_000, 64
STEPS = 10  # of each side in a round
WANTED = 1 / 1.2
HEAD = (
    "| rows named | ours | ours, µs | torch, µs | ratio | worst – best round | wanted | reached |\n"
    "|---:|---|---:|---:|---:|---|---:|---|"
)


def begun(kind: type[torch.optim.Optimizer]) -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
    """Return a table and its optimizer, with state that lies in memory."""
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(ROWS, WIDTH))
    optimizer = kind([p])
    p.grad = gradient(1)
    optimizer.step()
    for value in optimizer.state[p].values():
        if isinstance(value, torch.Tensor) and value.shape == p.shape:
            value.fill_(1e-3)
    return p, optimizer


def gradient(count: int) -> torch.Tensor:
    """Return a gradient of *count* random rows."""
    indices = torch.randint(0, ROWS, (1, count))
    values = torch.randn(count, WIDTH)
    return torch.sparse_coo_tensor(indices, values, (ROWS, WIDTH), check_invariants=False)


def taken(sides: list, count: int, rounds: int) -> list[list[float]]:
    """Time both *sides* in turns on the same gradients; return median seconds of steps by round."""
    found: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        gradients = [gradient(count) for _ in range(STEPS)]
        order = list(zip(sides, found, strict=True))
        for (p, optimizer), times in order if turn % 2 else reversed(order):
            times.append(statistics.median(seconds(p, optimizer, g) for g in gradients))
    return [times[1:] for times in found]


def seconds(p: torch.nn.Parameter, optimizer: torch.optim.Optimizer, g: torch.Tensor) -> float:
    """Time one step on the gradient *g*."""
    p.grad = g
    start = time.perf_counter()
    optimizer.step()
    return time.perf_counter() - start


def row(name: str, count: int, ours: list[float], theirs: list[float]) -> str:
    found = ratios(theirs, ours)
    return (
        f"| {count:,} | {name} | {statistics.median(ours) * 1e6:,.0f} | "
        f"{statistics.median(theirs) * 1e6:,.0f} | {spread(found)} | {WANTED:.2f} | "
        f"{verdict(found, WANTED)} |"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    print(machine(), "\n", HEAD, sep="\n", flush=True)
    lines = [HEAD]
    theirs = begun(torch.optim.SparseAdam)
    for name in ("SparseAdam", "Adam"):
        ours = begun(getattr(optim, name))
        for count in (10, 1_000, 10_000):
            lines.append(row(name, count, *taken([ours, theirs], count, chosen.rounds)))
            print(lines[-1], flush=True)
        del ours
    if chosen.write:
        write({"sparse": lines})


if __name__ == "__main__":
    main()
