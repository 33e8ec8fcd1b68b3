"""A race on a small problem, in a process that can be killed.

python killable.py RECORD TRIALS MEMORY
"""

import json
import sys
from dataclasses import asdict

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.problems import Problem, Split
from thalweg.racing import Result, race


def split(seed: int, examples: int) -> Split:
    """Return points, and on which side of a line each is."""
    inputs = torch.randn(examples, 4, generator=torch.Generator().manual_seed(seed))
    return Split(inputs, (inputs.sum(1) > 0).long())


def make_model(seed: int) -> nn.Module:
    """Return the untrained model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


LINE = Problem(
    name="line",
    description="Which side of a line a point is on",
    make_model=make_model,
    train=split(0, 64),
    validation=split(1, 32),
    test=split(2, 32),
    loss=cross_entropy,
    batch_size=16,
    epochs=2,
    known={},
    threads=1,
)


def told(result: Result) -> str:
    """Return all that a race says as JSON, without the seconds it took."""
    data = asdict(result)
    for each in (*data["runs"], *data["board"]):
        del each["seconds"]
    return json.dumps(data, sort_keys=True)


if __name__ == "__main__":
    path, trials, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    race(
        LINE, ["sgd", "adam", "adamw"], trials=trials, seeds=3, memory=memory, record=path,
        resume=True,
    )  # fmt: skip
