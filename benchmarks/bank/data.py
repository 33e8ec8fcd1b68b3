"""Faulty data: scales, order, labels, and batches of the wrong size."""

from __future__ import annotations

import torch
from torch import nn

import thalweg
from thalweg.doctor import Diagnosis
from thalweg.problems import Split
from thalweg.problems.characters import cross_entropy

from .loop import clip, train
from .material import (
    Batches,
    Scanner,
    cnn,
    digits,
    images,
    mlp,
    part,
    raw_digits,
    scanned,
    text,
    transformer,
    tumours,
)
from .run import faulty

NOISE = "a step's noise is its rate times the variance of a batch: a lower rate or a larger batch"


@faulty("GD501")
def mlp_pixels_to_255() -> Diagnosis:
    """A perceptron is trained on pixels from 0 to 255."""
    model = mlp(activation=nn.Tanh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(raw_digits()[0]))


@faulty("GD501")
def logistic_one_feature_in_another_unit() -> Diagnosis:
    """One of thirty features of tumours is in another unit, a thousand times as large."""
    inputs, targets = tumours()[0]
    inputs = inputs.clone()
    inputs[:, 7] *= 1000
    model = nn.Linear(30, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    return train(model, optimizer, Batches(Split(inputs, targets)), 15, nn.BCEWithLogitsLoss())


@faulty("GD501")
def lstm_inputs_far_from_zero() -> Diagnosis:
    """Rows of a digit come with an offset of 100, as a year or a temperature would."""
    inputs, targets = scanned()[0]
    model = Scanner()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    examples = Batches(Split(inputs + 100, targets))
    return train(model, optimizer, examples, 5, before_update=clip(model))


def in_order(examples: Split) -> Split:
    """Examples as many data sets come: one class after another."""
    return part(examples, examples.targets.argsort(stable=True))


@faulty("GD502")
def mlp_sorted_by_class() -> Diagnosis:
    """Digits come one class after another and are never shuffled."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    batches = Batches(in_order(digits()[0]), shuffle=False)
    return train(model, optimizer, batches, 8, validation=digits()[1])


@faulty("GD502")
def cnn_sorted_by_class() -> Diagnosis:
    """Images come one class after another, in batches of eight."""
    model = cnn(lambda channels: nn.GroupNorm(2, channels))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return train(model, optimizer, Batches(in_order(images()[0]), 8, shuffle=False), 2)


@faulty("GD502")
def lstm_sorted_one_by_one() -> Diagnosis:
    """An LSTM reads one digit at a time, all zeros first and all nines last."""
    model = Scanner()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    batches = Batches(in_order(scanned()[0]), 1, shuffle=False)
    return train(model, optimizer, batches, 1, before_update=clip(model))


def shuffled(examples: Split) -> Split:
    """Labels that went into another order than the inputs."""
    return Split(examples.inputs, examples.targets[torch.randperm(len(examples.targets))])


@faulty("GD503")
def mlp_labels_shuffled() -> Diagnosis:
    """The labels of digits were shuffled apart from the images."""
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return train(model, optimizer, Batches(shuffled(digits()[0])))


@faulty("GD503")
def cnn_labels_shuffled() -> Diagnosis:
    """The same with a convolutional network and SGD."""
    model = cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(shuffled(images()[0])), 5)


def mislabelled(examples: Split, share: float) -> Split:
    """Examples of which some have a label drawn at random."""
    targets = examples.targets.clone()
    wrong = torch.rand(len(targets)) < share
    targets[wrong] = torch.randint(10, (int(wrong.sum()),))
    return Split(examples.inputs, targets)


@faulty("GD504")
def mlp_learns_wrong_labels_by_heart() -> Diagnosis:
    """150 digits, a quarter of them labelled wrongly, for 80 epochs, long after the best one."""
    few = mislabelled(part(digits()[0], slice(150)), 0.25)
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return train(model, optimizer, Batches(few), 80, validation=digits()[1])


@faulty("GD504")
def cnn_learns_few_images_by_heart() -> Diagnosis:
    """100 images, half of them labelled at random, for 40 epochs."""
    few = mislabelled(part(images()[0], slice(100)), 0.5)
    model = cnn()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    return train(model, optimizer, Batches(few), 40, validation=images()[1])


@faulty("GD504")
def transformer_learns_few_lines_by_heart() -> Diagnosis:
    """A transformer goes through 24 lines a hundred times."""
    model = transformer()
    optimizer = thalweg.optim.AdamW(model.parameters(), lr=3e-3)
    few = part(text()[0], slice(24))
    loss_fn = Letters()
    return train(model, optimizer, Batches(few, 12), 60, loss_fn, validation=text()[1])


class Letters(nn.Module):
    """The cross-entropy of each letter, as a module."""

    def forward(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(output, targets)


@faulty("GD506", "GD205", because=NOISE)
def mlp_one_by_one_with_wrong_labels() -> Diagnosis:
    """Digits of which a third is labelled wrongly, one at a time."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)
    examples = mislabelled(digits()[0], 0.33)
    return train(model, optimizer, Batches(examples, 1), 2)


@faulty("GD506", "GD205", because=NOISE)
def regression_pairs_of_noise() -> Diagnosis:
    """A linear model of 40 features is fitted to targets that are mostly noise, two at a time."""
    inputs = torch.randn(1000, 40)
    targets = inputs @ torch.randn(40, 1) / 40**0.5 + 3 * torch.randn(1000, 1)
    model = nn.Linear(40, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    return train(model, optimizer, Batches(Split(inputs, targets), 2), 2, nn.MSELoss())


@faulty("GD507")
def mlp_all_data_in_a_batch() -> Diagnosis:
    """All digits, eight times over with little noise, are one batch: ten epochs are ten updates."""
    inputs, targets = digits()[0]
    many = torch.cat([inputs + 0.1 * torch.randn_like(inputs) for _ in range(8)])
    examples = Split(many, targets.repeat(8))
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(model, optimizer, Batches(examples, len(many)), 16)


@faulty("GD507")
def cnn_all_data_in_a_batch() -> Diagnosis:
    """All images are one batch, and twelve epochs are twelve updates."""
    model = cnn()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    return train(model, optimizer, Batches(images()[0], 1077), 12)
