"""What the runs are built from: small data sets, batches of them, and models of four kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from thalweg import problems
from thalweg.problems import Split
from thalweg.problems.recurrent import CharacterLSTM
from thalweg.problems.transformer import CharacterTransformer

LETTERS, CONTEXT = 16, 24


@dataclass
class Batches:
    """Goes through examples in batches, in another order each time unless told not to."""

    examples: Split
    batch: int = 32
    shuffle: bool = True

    def __len__(self) -> int:
        return -(-len(self.examples.inputs) // self.batch)

    def __iter__(self) -> Iterator[Split]:
        count = len(self.examples.inputs)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        return (part(self.examples, rows) for rows in order.split(self.batch))


def part(examples: Split, rows: slice | Tensor) -> Split:
    return Split(examples.inputs[rows], examples.targets[rows])


@cache
def digits() -> tuple[Split, Split]:
    """Digits as 64 standardised pixels: 1,077 examples to train on, 360 to validate."""
    loaded = problems.load("digits")
    return loaded.train, loaded.validation


def raw_digits() -> tuple[Split, Split]:
    """The same digits with pixels from 0 to 255."""
    train, validation = problems.digits.pixels()[:2]
    return Split(255 * train.inputs, train.targets), Split(
        255 * validation.inputs, validation.targets
    )


def images() -> tuple[Split, Split]:
    """The same digits as images of one channel."""
    return tuple(Split(each.inputs.view(-1, 1, 8, 8), each.targets) for each in digits())


def scanned() -> tuple[Split, Split]:
    """The same digits row by row, as sequences of eight."""
    return tuple(Split(each.inputs.view(-1, 8, 8), each.targets) for each in digits())


@cache
def text() -> tuple[Split, Split]:
    """512 lines to train on and 128 to validate, of a language in which a letter rules the next.

    Its entropy is 1.50 nats a letter, against 2.77 for a guess.
    """
    generator = torch.Generator().manual_seed(5)
    following = (2 * torch.randn(LETTERS, LETTERS, generator=generator)).softmax(-1)
    letters = [torch.randint(LETTERS, (640,), generator=generator)]
    for _ in range(CONTEXT):
        letters.append(torch.multinomial(following[letters[-1]], 1, generator=generator)[:, 0])
    lines = torch.stack(letters, 1)
    whole = Split(lines[:, :-1], lines[:, 1:])
    return part(whole, slice(512)), part(whole, slice(512, None))


@cache
def measurements() -> tuple[Split, Split]:
    """Ten standardised measurements of 442 patients, and how far a disease went, standardised."""
    from sklearn.datasets import load_diabetes

    inputs, targets = (torch.tensor(each).float() for each in load_diabetes(return_X_y=True))
    level = Split((inputs - inputs.mean(0)) / inputs.std(0), _standard(targets)[:, None])
    return part(level, slice(342)), part(level, slice(342, None))


@cache
def tumours() -> tuple[Split, Split]:
    """Thirty standardised features of 569 tumours, and whether each is harmless (0 or 1)."""
    from sklearn.datasets import load_breast_cancer

    inputs, targets = (torch.tensor(each).float() for each in load_breast_cancer(return_X_y=True))
    level = Split((inputs - inputs.mean(0)) / inputs.std(0), targets[:, None])
    return part(level, slice(440)), part(level, slice(440, None))


def _standard(values: Tensor) -> Tensor:
    return (values - values.mean()) / values.std()


def mlp(*widths: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Layers of these widths, 64-64-32-10 by default, with an activation between them."""
    sizes = widths or (64, 64, 32, 10)
    layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
    between = [each for layer in layers for each in (layer, activation())]
    return nn.Sequential(*between[:-1])


def cnn(normalization: type[nn.Module] = nn.BatchNorm2d) -> nn.Sequential:
    """Two convolutions with normalization, and a linear layer on their features."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), normalization(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), normalization(16), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10),
    )  # fmt: skip


class Scanner(nn.Module):
    """Reads an image row by row with an LSTM, and says at the end which digit it is."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, width, batch_first=True)
        self.output = nn.Linear(width, 10)

    def forward(self, rows: Tensor) -> Tensor:
        return self.output(self.lstm(rows)[0][:, -1])


def lstm() -> CharacterLSTM:
    """Reads a line of the invented language and says at each letter which one comes next."""
    return CharacterLSTM(LETTERS, width=32)


def transformer() -> CharacterTransformer:
    """Does the same by attention, in two layers."""
    return CharacterTransformer(LETTERS, CONTEXT, width=32)
