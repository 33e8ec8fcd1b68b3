"""Trains a deep plain network from a poor beginning, with annealed gradient noise and without.

    python benchmarks/noise.py            the table
    python benchmarks/noise.py --write    also put it into benchmarks/README.md

The claim is that of Neelakantan et al. 2015, Adding gradient noise improves learning for very deep
networks: 20 hidden layers of 50 ReLU units on MNIST, weights from N(0, 0.1²), which lets no signal
through, biases zero, plain SGD at learning rate 0.1, gradients clipped at norm 10. Noise of
variance 0.01 / t^0.55 comes after the clipping. Each seed gives both the same weights and the same
order of the data; accuracy is that on the test set after the last epoch.
"""

import argparse
import statistics
from itertools import pairwise

import torch
from step import machine, write
from torch import nn

from thalweg import Optimizer, chain, problems
from thalweg.problems import Problem
from thalweg.rules import find, transforms
from thalweg.training import evaluate, fit

WIDTHS = (784, *[50] * 20, 10)
EPOCHS, BATCH = 20, 128
WITHOUT = chain(transforms["clip_by_global_norm"], find("sgd"))
WITH = chain(transforms["clip_by_global_norm"], transforms["add_noise"], find("sgd"))
HEAD = "| seed | without noise, % | with noise, % |\n|---:|---:|---:|"


def network(seed: int) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for widths in pairwise(WIDTHS):
        layer = nn.Linear(*widths)
        nn.init.normal_(layer.weight, std=0.1, generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def accuracy(problem: Problem, seed: int, noise: bool) -> float:
    model = network(seed)
    settings = {"noise_eta": 0.01, "seed": seed} if noise else {}
    rule = WITH if noise else WITHOUT
    optimizer = Optimizer(model.parameters(), rule, lr=0.1, max_norm=10.0, **settings)
    fit(model, optimizer, problem.loss, problem.train, batch=BATCH, epochs=EPOCHS, seed=seed)
    return 100 * evaluate(model, problem.loss, problem.test).accuracy


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    problem = problems.load("mnist")
    print(machine(), "\n", HEAD, sep="\n", flush=True)
    lines, found = [HEAD], []
    for seed in range(chosen.seeds):
        found.append([accuracy(problem, seed, noise) for noise in (False, True)])
        lines.append("| {} | {:.1f} | {:.1f} |".format(seed, *found[-1]))
        print(lines[-1], flush=True)
    medians = [statistics.median(side) for side in zip(*found, strict=True)]
    lines.append("| median | **{:.1f}** | **{:.1f}** |".format(*medians))
    print(lines[-1])
    if chosen.write:
        write({"noise": lines})


if __name__ == "__main__":
    main()
