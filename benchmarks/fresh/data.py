"""The data of these trainings: pictures, letters, tables, and some that are made here."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets
from torch.nn import functional as F

FOLDER = Path(os.environ.get("THALWEG_DATA", "data"))
SPAN = 32


@cache
def digits():
    """1,797 handwritten digits of 64 pixels between 0 and 1, in an order that was drawn once."""
    bunch = datasets.load_digits()
    order = np.random.RandomState(7).permutation(len(bunch.data))
    pixels = torch.tensor(bunch.data[order] / 16, dtype=torch.float32)
    return pixels, torch.tensor(bunch.target[order])


@cache
def archive(name):
    with np.load(FOLDER / name) as held:
        return {key: held[key] for key in held.files}


def mnist(count=4000, start=0):
    """Images of 1 × 28 × 28, standardised as most do, and their classes."""
    held = archive("mnist.npz")
    rows = slice(start, start + count)
    pixels = torch.tensor(held["x_train"][rows]).float().unsqueeze(1) / 255
    return (pixels - 0.1307) / 0.3081, torch.tensor(held["y_train"][rows]).long()


def flat_mnist(count=4000, start=0):
    pixels, classes = mnist(count, start)
    return pixels.flatten(1), classes


def cifar(count=2000, start=0):
    """Images of 3 × 32 × 32, between -1 and 1, and their classes."""
    held = archive("cifar10_14k.npz")
    order = np.random.RandomState(3).permutation(12000)[start : start + count]
    pixels = torch.tensor(held["x_train"][order]).float().permute(0, 3, 1, 2) / 255
    return (pixels - 0.5) / 0.5, torch.tensor(held["y_train"][order]).long()


@cache
def letters():
    """Shakespeare as numbers, and how many letters there are."""
    text = (FOLDER / "tinyshakespeare.txt").read_text()
    places = {letter: number for number, letter in enumerate(sorted(set(text)))}
    return torch.tensor([places[letter] for letter in text[:200_000]]), len(places)


def lines(count=512, start=0):
    """Stretches of text, and the same shifted by one letter."""
    text, _ = letters()
    generator = torch.Generator().manual_seed(11 + start)
    begins = torch.randint(0, 150_000, (count,), generator=generator)
    pieces = torch.stack([text[begin : begin + SPAN + 1] for begin in begins])
    return pieces[:, :-1], pieces[:, 1:]


def letter_loss(scores, targets):
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten())


def table(load, standardise=True):
    """A table of scikit-learn: features, standardised or raw, and what is to be told of them."""
    bunch = load()
    features = torch.tensor(bunch.data, dtype=torch.float32)
    if standardise:
        features = (features - features.mean(0)) / features.std(0)
    order = torch.tensor(np.random.RandomState(5).permutation(len(features)))
    return features[order], torch.tensor(bunch.target)[order]


def diabetes():
    """442 patients: ten features and the course of the illness, all standardised."""
    features, targets = table(datasets.load_diabetes)
    targets = targets.float().unsqueeze(1)
    return features, (targets - targets.mean()) / targets.std()


def sines(count=1024, noise=0.1):
    """One number, and a curve over it with noise."""
    generator = torch.Generator().manual_seed(13)
    inputs = torch.rand(count, 1, generator=generator) * 4 - 2
    curve = torch.sin(3 * inputs) + 0.5 * inputs
    return inputs, curve + noise * torch.randn(count, 1, generator=generator)


def moons(count=1000, noise=0.15):
    """Two half-moons in a plane."""
    points, classes = datasets.make_moons(count, noise=noise, random_state=17)
    return torch.tensor(points, dtype=torch.float32), torch.tensor(classes)


def linear(count=1000, features=20, noise=0.5):
    """Independent features and a weighted sum of them with noise."""
    generator = torch.Generator().manual_seed(19)
    inputs = torch.randn(count, features, generator=generator)
    weights = torch.randn(features, 1, generator=generator) / features**0.5
    return inputs, inputs @ weights + noise * torch.randn(count, 1, generator=generator)


def sums_of_two(count=1000, length=50):
    """Sequences of numbers of which two are marked; their sum is wanted at the end."""
    generator = torch.Generator().manual_seed(23)
    values = torch.rand(count, length, generator=generator)
    marks = torch.zeros(count, length)
    first = torch.randint(0, length // 4, (count,), generator=generator)
    second = torch.randint(length // 4, length // 2, (count,), generator=generator)
    marks[torch.arange(count), first] = marks[torch.arange(count), second] = 1
    sums = (values * marks).sum(1, keepdim=True)
    return torch.stack([values, marks], -1), sums - 1


def ratings(users=200, films=150, count=6000):
    """Who rated what how, from three hidden tastes and noise."""
    generator = torch.Generator().manual_seed(29)
    tastes = torch.randn(users, 3, generator=generator)
    kinds = torch.randn(films, 3, generator=generator)
    pairs = torch.stack(
        [torch.randint(0, each, (count,), generator=generator) for each in (users, films)], 1
    )
    scores = (tastes[pairs[:, 0]] * kinds[pairs[:, 1]]).sum(1)
    return pairs, scores + 0.3 * torch.randn(count, generator=generator)


def sentences(count=1500, words=60, length=12):
    """Bags of words of two subjects, padded with zeros behind; some words are common to both."""
    generator = torch.Generator().manual_seed(31)
    classes = torch.randint(0, 2, (count,), generator=generator)
    drawn = torch.randint(1, words // 2, (count, length), generator=generator)
    special = torch.rand(count, length, generator=generator) < 0.3
    drawn = torch.where(special & (classes == 1).unsqueeze(1), drawn + words // 2, drawn)
    lengths = torch.randint(3, length + 1, (count, 1), generator=generator)
    return torch.where(torch.arange(length) < lengths, drawn, 0), classes
