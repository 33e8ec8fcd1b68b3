"""Trainings whose data, labels or batches are at fault."""

import torch
from sklearn import datasets
from torch import nn
from torch.optim import SGD, Adam, AdamW

import thalweg
from fresh.data import (
    cifar,
    diabetes,
    digits,
    flat_mnist,
    linear,
    lines,
    mnist,
    sentences,
    sines,
    table,
)
from fresh.loop import train
from fresh.models import Gpt, Reader, Words, convnet, mlp
from fresh.registry import ill


@ill("GD501")
def wine_in_its_own_units():
    """Thirteen features of wine as they were measured: one near 750, others below one."""
    model = mlp(13, 32, 3)
    data = table(datasets.load_wine, standardise=False)
    return train(model, SGD(model.parameters(), 0.01), nn.CrossEntropyLoss(), data, epochs=60)


@ill("GD501")
def pictures_up_to_255():
    """Colour images between 0 and 255 go into a convolutional network without normalization."""
    images, classes = cifar()
    model = convnet(3, 32)
    return train(
        model,
        Adam(model.parameters(), 1e-3),
        nn.CrossEntropyLoss(),
        (images * 127.5 + 127.5, classes),
    )


@ill("GD501")
def years_beside_temperatures():
    """One feature is a year, around 2,000 with a spread of ten; the others are standardised."""
    features, targets = linear(1500, 8)
    features = features.clone()
    features[:, 3] = 2000 + 10 * features[:, 3]
    model = mlp(8, 32, 1)
    return train(
        model, Adam(model.parameters(), 1e-3), nn.MSELoss(), (features, targets), epochs=20
    )


def in_order(model, optimizer, loss_fn, data, epochs, batch=64):
    """A loop that takes the rows as they come."""
    inputs, targets = data
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(epochs):
            for rows in torch.arange(len(inputs)).split(batch):
                optimizer.zero_grad()
                loss_fn(model(inputs[rows]), targets[rows]).backward()
                optimizer.step()
    return watch


def by_target(data):
    inputs, targets = data
    order = targets.flatten().argsort(stable=True)
    return inputs[order], targets[order]


@ill("GD502")
def folders_one_after_another():
    """Images come class by class, as folders hold them."""
    model = convnet()
    return in_order(
        model,
        SGD(model.parameters(), 0.02, momentum=0.9),
        nn.CrossEntropyLoss(),
        by_target(mnist(3000)),
        epochs=4,
    )


@ill("GD502")
def sentences_of_one_subject_first():
    """All sentences of one subject come before those of the other."""
    model = Words()
    return in_order(
        model,
        Adam(model.parameters(), 5e-3),
        nn.CrossEntropyLoss(),
        by_target(sentences()),
        epochs=15,
        batch=32,
    )


@ill("GD502")
def patients_by_severity():
    """A regression takes its patients from the mildest course to the worst."""
    model = mlp(10, 32, 1)
    return in_order(
        model, Adam(model.parameters(), 3e-3), nn.MSELoss(), by_target(diabetes()), 40, batch=16
    )


@ill("GD503")
def images_shuffled_without_their_labels():
    """The images were shuffled, and their labels not."""
    images, classes = flat_mnist(3000)
    order = torch.randperm(3000, generator=torch.Generator().manual_seed(59))
    model = mlp(784, 64, 10)
    return train(
        model,
        Adam(model.parameters(), 1e-3),
        nn.CrossEntropyLoss(),
        (images[order], classes),
        epochs=4,
    )


@ill("GD503")
def tumours_joined_wrongly():
    """The diagnoses of tumours were joined to the wrong rows."""
    features, classes = table(datasets.load_breast_cancer)
    model = mlp(30, 32, 2)
    data = features, classes.roll(200)
    return train(model, Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss(), data, epochs=20)


@ill("GD503")
def rows_of_digits_shuffled():
    """A recurrent network reads digits whose labels were drawn by lot."""
    images, classes = digits()
    lot = torch.randperm(1797, generator=torch.Generator().manual_seed(61))
    model = Reader(nn.GRU, 8, 32, 10)
    data = images.reshape(-1, 8, 8), classes[lot]
    return train(model, Adam(model.parameters(), 2e-3), nn.CrossEntropyLoss(), data, epochs=6)


@ill("GD504")
def two_hundred_images_by_heart():
    """A wide perceptron learns 200 small pictures for sixty epochs."""
    images, classes = cifar(200)
    others, answers = cifar(500, start=5000)
    model = mlp(3072, 256, 10)
    return train(
        model,
        Adam(model.parameters(), 5e-4),
        nn.CrossEntropyLoss(),
        (images.flatten(1), classes),
        epochs=60,
        batch=32,
        held_out=(others.flatten(1), answers),
    )


def last_letters(data):
    """Lines, and the letter after each."""
    text, following = data
    return text, following[:, -1]


class LastLetter(Gpt):
    """Tells only the letter after the last."""

    def forward(self, text):
        return super().forward(text)[:, -1]


@ill("GD504")
def sixteen_lines_by_heart():
    """A transformer learns sixteen lines of Shakespeare and is tried on others."""
    model = LastLetter()
    return train(
        model,
        AdamW(model.parameters(), 3e-3),
        nn.CrossEntropyLoss(),
        last_letters(lines(16)),
        epochs=120,
        batch=8,
        held_out=last_letters(lines(64, start=1)),
    )


@ill("GD504")
def noisy_patients_by_heart():
    """A wide perceptron is fitted to sixty patients for 300 epochs."""
    features, targets = diabetes()
    model = mlp(10, 128, 128, 1)
    return train(
        model,
        Adam(model.parameters(), 1e-3),
        nn.MSELoss(),
        (features[:60], targets[:60]),
        epochs=300,
        batch=20,
        held_out=(features[200:], targets[200:]),
    )


@ill("GD506", "GD205")
def noise_one_by_one():
    """A perceptron is fitted to targets that are mostly noise, one example at a time."""
    model = mlp(1, 32, 1)
    return train(
        model, SGD(model.parameters(), 0.05), nn.MSELoss(), sines(noise=1.5), epochs=5, batch=1
    )


@ill("GD506", "GD205")
def doubtful_labels_two_by_two():
    """A convolutional network sees two images at a time, of which 40 % are labelled by lot."""
    images, classes = mnist(2000)
    generator = torch.Generator().manual_seed(67)
    lot = torch.randint(0, 10, (2000,), generator=generator)
    doubtful = torch.rand(2000, generator=generator) < 0.4
    model = convnet()
    return train(
        model,
        Adam(model.parameters(), 3e-3),
        nn.CrossEntropyLoss(),
        (images, torch.where(doubtful, lot, classes)),
        epochs=2,
        batch=2,
    )


@ill("GD507")
def all_images_at_once():
    """4,000 images make one batch, and ten epochs ten updates."""
    model = mlp(784, 64, 10)
    return train(
        model,
        SGD(model.parameters(), 0.1),
        nn.CrossEntropyLoss(),
        flat_mnist(),
        epochs=10,
        batch=4000,
    )


@ill("GD507")
def curve_in_one_batch():
    """32,768 points of a smooth curve make one batch, and thirty epochs thirty updates."""
    model = mlp(1, 64, 64, 1, activation=nn.Tanh)
    return train(
        model,
        Adam(model.parameters(), 1e-3),
        nn.MSELoss(),
        sines(32_768, noise=0.05),
        epochs=30,
        batch=32_768,
    )
