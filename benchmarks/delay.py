"""Trains with gradients that come a thousand updates late, at rates tuned where none comes late.

    python benchmarks/delay.py            the table
    python benchmarks/delay.py --write    also put it into benchmarks/README.md

Softmax regression on digits, batch 8, 40 epochs: 5,400 updates. A thousand and one simulated
workers take turns, so that every gradient was measured a thousand updates before it is applied.
Losses are those on the validation set at the end, the median of the seeds; the rate of a rule is
the best of the grid for one worker. The claim is McMahan & Streeter's (2014): AdaptiveRevision
bears the delay at the rate that was best without it. That is a claim about rates, not about the
best that can be reached: an Adagrad whose rate is tuned with the delay has a lower one.
"""

import argparse
import statistics

import torch
from step import machine, write
from torch import nn

from thalweg import parallel, problems
from thalweg.parallel import Downpour

RATES = (0.03, 0.1, 0.3, 1.0)
RULES = ("adagrad", "adaptive_revision")
BATCH, EPOCHS, LATE = 8, 40, 1000
HEAD = (
    "| rule | "
    + " | ".join(f"lr {lr:g}" for lr in RATES)
    + " | at the rate tuned without delay |\n"
    "|---|" + "---:|" * (len(RATES) + 1)
)


def loss(rule: str, lr: float, workers: int, seed: int) -> float:
    digits = problems.load("digits")
    torch.manual_seed(seed)
    model = nn.Linear(64, 10)
    algorithm = Downpour(rule, lr=lr, divide=False, warm_start=0)
    result = parallel.fit(
        model, digits.loss, digits.train, digits.validation,
        algorithm=algorithm, workers=workers, batch=BATCH, epochs=EPOCHS, seed=seed,
    )  # fmt: skip
    assert max(result.tally.staleness) == workers - 1
    return result.history[-1].judged


def losses(rule: str, workers: int, seeds: range) -> dict[float, float]:
    return {lr: statistics.median(loss(rule, lr, workers, seed) for seed in seeds) for lr in RATES}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    print(machine(), "\n", HEAD, sep="\n", flush=True)
    lines, found = [HEAD], {}
    for rule in RULES:
        tuned = losses(rule, 1, range(chosen.seeds))
        late = losses(rule, LATE + 1, range(chosen.seeds))
        best = min(tuned, key=tuned.__getitem__)
        found[rule] = late[best]
        for name, each, end in (
            (f"{rule}, one worker", tuned, tuned[best]),
            (f"{rule}, {LATE:,} updates late", late, late[best]),
        ):
            cells = " | ".join(f"{value:.3f}" for value in each.values())
            lines.append(f"| {name} | {cells} | **{end:.3f}** |")
            print(lines[-1], flush=True)
    ratio = found["adaptive_revision"] / found["adagrad"]
    reached = "yes" if ratio <= 0.5 else "no"
    lines += [
        "",
        f"AdaptiveRevision over Adagrad, late: **{ratio:.2f}** (wanted ≤ 0.5: {reached}).",
    ]
    print(lines[-1])
    if chosen.write:
        write({"delay": lines})


if __name__ == "__main__":
    main()
