"""Lanes of any kind of model, on any kind of data, do what each training does alone.

Everything is in double precision, so that what rounding leaves is far below any real difference.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from thalweg.errors import BadValue
from thalweg.optim import Optimizer
from thalweg.problems import Problem, Split
from thalweg.problems.characters import cross_entropy as of_characters
from thalweg.problems.convolutional import convolutional
from thalweg.problems.recurrent import CharacterLSTM
from thalweg.problems.seeded import seeded
from thalweg.problems.sparse_text import logistic_regression
from thalweg.problems.transformer import CharacterTransformer
from thalweg.racing.lanes import Lane, SideBySide
from thalweg.racing.sizing import lanes_at_once
from thalweg.rules import find
from thalweg.training import evaluate, fit

CLASSES, LETTERS, TRAINED = 3, 7, 20
RANDOM = torch.Generator().manual_seed(0)
ANSWERS = torch.arange(32) % CLASSES
FLOATS = Split(torch.randn(32, 6, generator=RANDOM).double(), ANSWERS)
IMAGES = Split(torch.randn(32, 3, 32, 32, generator=RANDOM).double(), ANSWERS)
TEXT = torch.randint(0, LETTERS, (32, 6), generator=RANDOM)
TOKENS, WORDS = Split(TEXT[:, :-1], TEXT[:, 1:]), Split(TEXT, ANSWERS)


class Half(nn.Module):
    """A model of which a part stands still and a part is never used; it wears shared weights."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.unused = nn.Linear(6, 6)
        self.first = nn.Linear(6, 6)
        self.last = nn.Linear(6, CLASSES)
        self.again = self.first

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.again(self.first(self.frozen(inputs)).tanh()).relu())


class Noisy(nn.Module):
    """A model that draws uniform and normal numbers while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            inputs = inputs + torch.rand_like(inputs) + torch.randn(6, dtype=inputs.dtype)
        return self.layer(inputs)


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.output = nn.Linear(8, LETTERS)

    def forward(self, characters: Tensor) -> Tensor:
        return self.output(self.layer(self.embedding(characters)))


def normalized() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, CLASSES)
    )


KINDS: dict[str, tuple[Callable[[], nn.Module], Split, Any]] = {
    "normalized": (normalized, FLOATS, cross_entropy),
    "half": (Half, FLOATS, cross_entropy),
    "noisy": (Noisy, FLOATS, cross_entropy),
    "regression": (partial(nn.Linear, 6, 2), Split(FLOATS.inputs, FLOATS.inputs[:, :2]), mse_loss),
    "tokens": (lambda: CharacterTransformer(LETTERS, 5, width=8), TOKENS, of_characters),
    "attending": (Attending, TOKENS, of_characters),
    "words": (
        lambda: nn.Sequential(nn.Embedding(LETTERS, 4), nn.Flatten(), nn.Linear(24, CLASSES)),
        WORDS,
        cross_entropy,
    ),
    "smoothed": (
        partial(nn.Linear, 6, CLASSES), FLOATS, nn.CrossEntropyLoss(label_smoothing=0.1),
    ),
    "ignoring": (
        partial(nn.Linear, 6, CLASSES), FLOATS, nn.CrossEntropyLoss(ignore_index=1),
    ),
    "convolutional": (
        lambda: convolutional(dropout=0.2, classes=CLASSES)(torch.initial_seed()),
        IMAGES,
        cross_entropy,
    ),
}  # fmt: skip


def problem_of(build: Callable[[], nn.Module], data: Split, loss: Any) -> Problem:
    train, valid = (
        Split(*(part[chosen] for part in data)) for chosen in (slice(TRAINED), slice(TRAINED, None))
    )
    made = seeded(lambda: build().double())
    return Problem("odd", "", made, train, valid, None, loss, 8, 2, {})


def lane(name: str, lr: float, seed: int) -> Lane:
    return Lane(find(name), find(name).settings(lr=lr), seed)


LANES = [lane("sgd", 0.1, 3), lane("adam", 0.01, 3), lane("sgd", 0.05, 4)]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_every_lane_equals_the_training_alone(kind: tuple) -> None:
    problem = problem_of(*kind)
    assert isinstance(problem.train, Split)
    together = SideBySide(problem, LANES, 8)
    *_, last = together.train(2)
    every = together.judged(problem.train)
    for lane, epoch, judged in zip(LANES, last, every, strict=True):
        model, alone = trained(problem, lane)
        assert epoch is not None
        assert epoch.train_loss == pytest.approx(alone.running_loss, rel=1e-9)
        assert epoch.validation_loss == pytest.approx(alone.valid_loss, rel=1e-9)
        loss, accuracy = evaluate(model, problem.loss, problem.train)
        assert judged == (pytest.approx(loss, rel=1e-9), accuracy)


def trained(problem: Problem, lane: Lane) -> tuple[nn.Module, Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lane.seed)
        model = problem.make_model(lane.seed)
        settings: dict[str, Any] = dict(lane.hyper)
        found = fit(
            model, Optimizer(model.parameters(), lane.rule, **settings), problem.loss,
            problem.train, problem.validation, batch=8, epochs=2, seed=lane.seed, watch=0,
        )  # fmt: skip
    return model, found.history[-1]


def test_other_masks_give_other_losses() -> None:
    """What the comparison with a training alone rests on: dropout of another seed is seen in it."""
    problem = problem_of(*KINDS["normalized"])
    one, *_ = SideBySide(problem, LANES, 8).train(1)
    shuffled = SideBySide(problem, LANES, 8)
    shuffled._generators[0].manual_seed(99)
    other, *_ = shuffled.train(1)
    assert one[0] is not None
    assert other[0] is not None
    assert one[0].train_loss != pytest.approx(other[0].train_loss, rel=1e-6)


class Whimsical(nn.Linear):
    """Does something else at every call, by numbers that are none of torch's."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) * random.random()


class Projected(nn.Module):
    """Keeps a tensor that differs from seed to seed where no stack looks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.fixed = torch.randn(6, 6).double()
        self.layer = nn.Linear(6, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs @ self.fixed)


class Permuting(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs[torch.randperm(len(inputs))])


class Restless(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs + torch.rand_like(inputs))


REFUSED: dict[str, tuple[Callable[[], nn.Module], Split, Any, str]] = {
    "lstm": (lambda: CharacterLSTM(LETTERS, 4), TOKENS, of_characters, ""),
    "sparse": (
        lambda: logistic_regression(LETTERS, CLASSES)(0), WORDS, cross_entropy, "embedding_bag",
    ),
    "whimsical": (partial(Whimsical, 6, CLASSES), FLOATS, cross_entropy, "not the same"),
    "projected": (Projected, FLOATS, cross_entropy, "not the same"),
    "permuting": (partial(Permuting, 6, CLASSES), FLOATS, cross_entropy, "randperm"),
    "restless": (partial(Restless, 6, CLASSES), FLOATS, cross_entropy, "where it is evaluated"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_batched_is_refused_with_the_reason(kind: tuple) -> None:
    *parts, reason = kind
    with pytest.raises(BadValue, match=f"odd cannot be stacked: .*{reason}"):
        lanes_at_once(problem_of(*parts), [lane("sgd", 0.1, seed) for seed in range(8)], 8)
