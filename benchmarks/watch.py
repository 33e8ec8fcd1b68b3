"""Times a training under `thalweg.watch` against the same training alone, in turns in one process.

    python benchmarks/watch.py            the tables
    python benchmarks/watch.py --write    also put them into benchmarks/README.md

The perceptron 784-200-10 on MNIST, batch 64, torch's own optimizer, one thread. A round trains so
many updates of each side in turns from the same weights; only the updates are timed, and what is
still owed at the end is a row of its own. The idle cost is what an update pays that is not looked
at: small models of 4, 20 and 100 tensors take turns, watched with an overhead of nothing and alone.
Differences and ratios are of the same round; the tables have their medians.
"""

import argparse
import statistics
from contextlib import nullcontext
from time import perf_counter
from typing import Any

import torch
from step import machine, write
from torch import nn
from turns import in_turns, ratios, seconds, spread

import thalweg
from thalweg import landscape, problems
from thalweg.problems import Problem

BATCH, UPDATES = 64, 780
SETTLE, BLOCK = 80, 40
"""So many updates pass before an idle block, which is this long: the first ones are looked at."""

RATIOS = (
    "| watched | s alone | s watched | ratio | best – worst round | wanted | reached |\n"
    "|---|---:|---:|---:|---|---:|---|"
)
IDLE = (
    "| tensors | µs of an update alone | µs more when watched | of the rounds, middle half | "
    "wanted | reached |\n|---:|---:|---:|---|---:|---|"
)
PRICE = "| at the end | gradients | seconds | wanted, s | reached |\n|---|---:|---:|---:|---|"


def batches(problem: Problem, count: int) -> list[tuple[Any, Any]]:
    inputs, targets = problem.train
    rows = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0)).split(BATCH)
    return [(inputs[each], targets[each]) for each in rows[:count]]


def train(problem: Problem, data: list[tuple[Any, Any]], **watching: float) -> tuple[float, Any]:
    """Return the seconds of a training alone, or of one watched with these settings, and the watch.

    Without settings nobody watches.
    """
    model, loss_fn = problem.make_model(0), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters())
    seen = thalweg.watch(model, optimizer, loss_fn, **watching) if watching else nullcontext()
    with seen as watch:
        begun = perf_counter()
        for inputs, targets in data:
            optimizer.zero_grad()
            loss_fn(model(inputs), targets).backward()
            optimizer.step()
        taken = perf_counter() - begun
    return taken, watch


def ratio(name: str, alone: list[float], watched: list[float], wanted: float) -> str:
    found = ratios(watched, alone)
    return (
        f"| {name} | {statistics.median(alone):.2f} | {statistics.median(watched):.2f} | "
        f"{spread(found)} | ≤ {wanted:g} | "
        f"{'yes' if statistics.median(found) <= wanted else 'NO'} |"
    )


def compared(problem: Problem, rounds: int) -> list[str]:
    whole, part = batches(problem, UPDATES), batches(problem, UPDATES // 10)
    alone, watched = in_turns(
        [
            lambda: train(problem, whole)[0],
            lambda: train(problem, whole, overhead=0.03, at_exit=0)[0],
        ],
        rounds,
    )
    briefly, fully = in_turns(
        [lambda: train(problem, part)[0], lambda: train(problem, part, overhead=1e9, at_exit=0)[0]],
        rounds,
    )
    return [
        RATIOS,
        ratio("at the default overhead of 3 %", alone, watched, 1.05),
        ratio("everything of first order at every update", briefly, fully, 10),
    ]


def block(tensors: int, watched: bool) -> float:
    """Return the microseconds of an update of a small model that is not looked at."""
    torch.manual_seed(0)
    model, loss_fn = nn.Sequential(*[nn.Linear(4, 4) for _ in range(tensors // 2)]), nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    inputs, targets = torch.randn(2, 4, 4)
    seen: Any = nullcontext()
    if watched:
        seen = thalweg.watch(model, optimizer, loss_fn, overhead=0, at_exit=0)
    with seen:
        for update in range(SETTLE + BLOCK):
            if update == SETTLE:
                begun = perf_counter()
            optimizer.zero_grad()
            loss_fn(model(inputs), targets).backward()
            optimizer.step()
        return (perf_counter() - begun) / BLOCK * 1e6


def idle(tensors: int, rounds: int) -> str:
    alone, watched = in_turns(
        [lambda: block(tensors, False), lambda: block(tensors, True)], 20 * rounds
    )
    more = [b - a for a, b in zip(alone, watched, strict=True)]
    low, middle, high = statistics.quantiles(more, n=4)
    wanted = 5 + tensors
    return (
        f"| {tensors} | {statistics.median(alone):.1f} | **{middle:.1f}** | {low:.1f} – {high:.1f} "
        f"| ≤ {wanted} | {'yes' if middle <= wanted else 'NO'} |"
    )


def price(problem: Problem, at_exit: float) -> list[str]:
    """Return what curvature costs by itself, and all that is owed beside what it may cost."""
    data = batches(problem, 20)
    curve = landscape.objective(problem.make_model(0), problem.loss, data[:8], training=True)
    hessian = landscape.Hessian(curve)
    direction = torch.ones(hessian.size)
    products, gradients = in_turns(
        [
            lambda: seconds(lambda: hessian.product(direction)),
            lambda: seconds(curve.gradient),
        ],
        9,
    )
    gradient = statistics.median(gradients)
    ends = seconds(lambda: landscape.extremes(hessian, products=30))
    _, watch = train(problem, data, overhead=0.03, at_exit=at_exit)
    found = watch.diagnosis.costs.ending
    kept = 1.25 * at_exit >= found and watch.evidence.curvature is not None
    return [
        PRICE,
        f"| a product with the Hessian over 512 images | "
        f"{statistics.median(products) / gradient:.1f} | {statistics.median(products):.3f} | | |",
        f"| both ends of its spectrum | {ends / gradient:.0f} | {ends:.2f} | | |",
        f"| all that is owed, curvature and stable rate included | {found / gradient:.0f} | "
        f"{found:.2f} | ≤ {at_exit:g} + a quarter | {'yes' if kept else 'NO'} |",
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    problem = problems.load("mnist")
    print(machine(), "\n", flush=True)
    tables = {
        "watch": compared(problem, chosen.rounds),
        "watch-idle": [IDLE, *(idle(count, chosen.rounds) for count in (4, 20, 100))],
        "watch-price": price(problem, 2.0),
    }
    print("\n\n".join("\n".join(lines) for lines in tables.values()))
    if chosen.write:
        write(tables)


if __name__ == "__main__":
    main()
