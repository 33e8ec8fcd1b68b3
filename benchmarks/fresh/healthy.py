"""Trainings with which nothing is wrong."""

import math

import torch
from sklearn import datasets
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset

import thalweg
from fresh.data import (
    cifar,
    diabetes,
    digits,
    flat_mnist,
    letter_loss,
    lines,
    mnist,
    moons,
    ratings,
    sentences,
    sines,
    sums_of_two,
    table,
)
from fresh.loop import descend, train, validate
from fresh.models import Factors, Gpt, Reader, Speller, Words, convnet, mlp
from fresh.registry import well


@well
def digits_by_adam():
    """A perceptron by Adam at 2e-3, tried on others after each epoch."""
    images, classes = digits()
    model = mlp(64, 64, 10)
    return train(
        model,
        Adam(model.parameters(), 2e-3),
        nn.CrossEntropyLoss(),
        (images[:1400], classes[:1400]),
        epochs=12,
        batch=32,
        held_out=(images[1400:], classes[1400:]),
    )


@well
def images_with_everything():
    """Batch norm, dropout, SGD with momentum and weight decay, one cycle."""
    model = convnet(norm=True, dropout=0.2)
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    scheduler = OneCycleLR(optimizer, max_lr=0.05, total_steps=5 * 63)
    return train(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        mnist(),
        after_update=scheduler.step,
        held_out=mnist(500, start=5000),
    )


@well
def colours_by_adamw():
    """A convolutional network on colour images by AdamW, its rate falling with each epoch."""
    model = convnet(3, 32, norm=True, dropout=0.3)
    optimizer = AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    scheduler = ExponentialLR(optimizer, 0.8)
    return train(
        model, optimizer, nn.CrossEntropyLoss(), cifar(3000), epochs=6, after_epoch=scheduler.step
    )


@well
def loader_and_functional_loss():
    """A DataLoader, a functional loss, and a watch that was given no loss."""
    images, classes = mnist(3000)
    model = convnet()
    optimizer = Adam(model.parameters(), 1e-3)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(4):
            for inputs, answers in DataLoader(TensorDataset(images, classes), 32, shuffle=True):
                loss = F.cross_entropy(model(inputs), answers)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return watch


@well
def computed_in_bfloat16():
    """A convolutional network under autocast in bfloat16."""
    images, classes = mnist(3000)
    model = convnet(norm=True)
    optimizer, loss_fn = AdamW(model.parameters(), 2e-3), nn.CrossEntropyLoss()
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(3):
            for rows in torch.randperm(3000).split(64):
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    loss = loss_fn(model(images[rows]), classes[rows])
                loss.backward()
                optimizer.step()
    return watch


@well
def four_batches_an_update():
    """Gradients of four small batches make one update of a transformer, clipped at one."""
    text, following = lines(1024)
    model = Gpt()
    optimizer = AdamW(model.parameters(), 3e-3)
    with thalweg.watch(model, optimizer, letter_loss) as watch:
        for _ in range(6):
            for number, rows in enumerate(torch.randperm(1024).split(16), 1):
                (letter_loss(model(text[rows]), following[rows]) / 4).backward()
                if number % 4 == 0:
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                    optimizer.zero_grad()
    return watch


@well
def transformer_as_in_the_books():
    """A transformer with dropout, warm-up, cosine, clipping, and decay of matrices alone."""
    model = Gpt(dropout=0.1)
    matrices = [each for each in model.parameters() if each.ndim > 1]
    others = [each for each in model.parameters() if each.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = AdamW(groups, 4e-3, betas=(0.9, 0.95))

    def factor(step):
        return min((step + 1) / 20, 0.5 + 0.5 * math.cos(math.pi * min(step / 256, 1)))

    scheduler = LambdaLR(optimizer, factor)
    return train(
        model,
        optimizer,
        letter_loss,
        lines(2048),
        epochs=8,
        clip=1.0,
        after_update=scheduler.step,
    )


@well
def transformer_normalized_behind():
    """Two blocks normalized behind each part, by Adam after a linear warm-up."""
    model = Gpt(norm_first=False)
    optimizer = Adam(model.parameters(), 2e-3)
    warm = LinearLR(optimizer, start_factor=0.02, total_iters=30)
    fall = CosineAnnealingLR(optimizer, T_max=98)
    scheduler = SequentialLR(optimizer, [warm, fall], milestones=[30])
    return train(model, optimizer, letter_loss, lines(1024), epochs=8, after_update=scheduler.step)


@well
def spelling_by_lstm():
    """An LSTM tells letters, by Adam at 3e-3, clipped."""
    model = Speller()
    return train(
        model, Adam(model.parameters(), 3e-3), letter_loss, lines(2048), epochs=5, clip=1.0
    )


@well
def digits_read_by_gru():
    """A GRU reads digits row by row, by RMSprop."""
    images, classes = digits()
    model = Reader(nn.GRU, 8, 48, 10)
    return train(
        model,
        RMSprop(model.parameters(), 2e-3),
        nn.CrossEntropyLoss(),
        (images.reshape(-1, 8, 8), classes),
        epochs=8,
    )


@well
def sums_remembered():
    """An LSTM adds two marked numbers of a short sequence."""
    model = Reader(nn.LSTM, 2, 48, 1)
    return train(
        model,
        Adam(model.parameters(), 5e-3),
        nn.MSELoss(),
        sums_of_two(2000, length=16),
        epochs=20,
        clip=1.0,
    )


@well
def subjects_of_sentences():
    """Mean embeddings of words, two layers, by AdamW."""
    text, classes = sentences(3000)
    model = Words()
    return train(
        model,
        AdamW(model.parameters(), 5e-3),
        nn.CrossEntropyLoss(),
        (text[:2500], classes[:2500]),
        epochs=5,
        batch=32,
        held_out=(text[2500:], classes[2500:]),
    )


@well
def ratings_by_factors():
    """Factors of users and films by Adam; some users are in no batch of an update."""
    pairs, scores = ratings()
    model = Factors(width=4)
    return train(
        model,
        Adam(model.parameters(), 1e-2),
        nn.MSELoss(),
        (pairs[:5000], scores[:5000]),
        epochs=10,
        batch=128,
        held_out=(pairs[5000:], scores[5000:]),
    )


@well
def autoencoder_of_images():
    """A convolutional autoencoder by Adam."""
    images, _ = mnist(2000)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
    )
    return train(model, Adam(model.parameters(), 2e-3), nn.MSELoss(), (images, images), epochs=5)


class Variational(nn.Module):
    """An encoder to means and spreads, and a decoder from a draw."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = mlp(784, 128, 16), mlp(8, 128, 784)

    def forward(self, images):
        mean, logarithm = self.encoder(images).chunk(2, 1)
        drawn = mean + torch.randn_like(mean) * (logarithm / 2).exp()
        return self.decoder(drawn), mean, logarithm


@well
def variational_autoencoder():
    """A variational autoencoder of binary images by Adam; its loss is a function of three."""
    pixels, _ = flat_mnist(3000)
    images = (pixels > 0.5).float()
    model = Variational()
    optimizer = Adam(model.parameters(), 1e-3)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(6):
            for rows in torch.randperm(3000).split(64):
                scores, mean, logarithm = model(images[rows])
                told = F.binary_cross_entropy_with_logits(scores, images[rows], reduction="sum")
                spread = 0.5 * (mean.square() + logarithm.exp() - 1 - logarithm).sum()
                loss = (told + spread) / len(rows)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return watch


@well
def patients_by_ridge():
    """A linear regression of patients by SGD with weight decay, its rate falling."""
    model = nn.Linear(10, 1)
    optimizer = SGD(model.parameters(), 0.1, weight_decay=0.01)
    scheduler = CosineAnnealingLR(optimizer, T_max=30)
    return train(
        model,
        optimizer,
        nn.MSELoss(),
        diabetes(),
        epochs=30,
        batch=32,
        after_epoch=scheduler.step,
    )


@well
def large_targets_scaled_for_training():
    """Targets in the hundreds are standardised; a Huber loss, Adam, a step after twenty epochs."""
    features, targets = table(datasets.load_diabetes)
    amounts = targets.float().unsqueeze(1)
    model = mlp(10, 32, 1, activation=nn.SiLU)
    optimizer = Adam(model.parameters(), 3e-3)
    scheduler = StepLR(optimizer, 20, gamma=0.1)
    data = features, (amounts - amounts.mean()) / amounts.std()
    return train(
        model, optimizer, nn.HuberLoss(), data, epochs=30, batch=32, after_epoch=scheduler.step
    )


@well
def noisy_curve():
    """A perceptron is fitted to a curve with much noise, its rate falling."""
    model = mlp(1, 64, 64, 1, activation=nn.GELU)
    optimizer = AdamW(model.parameters(), 5e-3)
    scheduler = CosineAnnealingLR(optimizer, T_max=40 * 16)
    return train(
        model,
        optimizer,
        nn.MSELoss(),
        sines(noise=0.4),
        epochs=40,
        after_update=scheduler.step,
    )


@well
def moons_by_gradient_descent():
    """Full-batch gradient descent with momentum on two half-moons."""
    model = mlp(2, 32, 32, 2, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), 0.2, momentum=0.9)
    return descend(model, optimizer, nn.CrossEntropyLoss(), moons(), steps=300)


@well
def tumours_by_logistic_regression():
    """Logistic regression with one output, by SGD with Nesterov momentum."""
    features, classes = table(datasets.load_breast_cancer)
    model = nn.Linear(30, 1)
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)
    data = features, classes.float().unsqueeze(1)
    return train(model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=20, batch=32)


@well
def head_on_a_frozen_body():
    """A network learned odd and even; then its body is frozen and a new head learns digits."""
    images, classes = digits()
    body = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU())
    first = nn.Sequential(body, nn.Linear(128, 2))
    warm, loss_fn = Adam(first.parameters(), 2e-3), nn.CrossEntropyLoss()
    for rows in torch.randperm(1797).repeat(4).split(64):
        warm.zero_grad()
        loss_fn(first(images[rows]), classes[rows] % 2).backward()
        warm.step()
    body.requires_grad_(False).eval()
    model = nn.Sequential(body, nn.Linear(128, 10))
    optimizer = SGD(model[1].parameters(), 0.05, momentum=0.9)
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(8):
            for rows in torch.randperm(1797).split(64):
                optimizer.zero_grad()
                loss_fn(model(images[rows]), classes[rows]).backward()
                optimizer.step()
    return watch


@well
def body_more_slowly_than_head():
    """Fine-tuning of a whole network: a tenth of the head's rate for the body."""
    model = convnet()
    warm, loss_fn = Adam(model.parameters(), 2e-3), nn.CrossEntropyLoss()
    images, classes = mnist(1500)
    for rows in torch.randperm(1500).repeat(2).split(64):
        warm.zero_grad()
        loss_fn(model(images[rows]), classes[rows]).backward()
        warm.step()
    model[-1] = nn.Linear(784, 10)
    groups = [
        {"params": model[:-1].parameters(), "lr": 2e-4},
        {"params": model[-1].parameters(), "lr": 2e-3},
    ]
    return train(model, AdamW(groups), loss_fn, mnist(2000, start=3000), epochs=3)


class Residual(nn.Module):
    """A block whose last layer begins at zero, beside a way around it."""

    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.LayerNorm(width), *mlp(width, 2 * width, width))
        nn.init.zeros_(self.body[-1].weight)

    def forward(self, values):
        return values + self.body(values)


@well
def residual_blocks_that_begin_at_zero():
    """Eight residual blocks whose last layers begin at zero, by NAdam without decay."""
    blocks = [Residual(64) for _ in range(8)]
    model = nn.Sequential(nn.Linear(784, 64), *blocks, nn.LayerNorm(64), nn.Linear(64, 10))
    return train(
        model, NAdam(model.parameters(), 1e-3), nn.CrossEntropyLoss(), flat_mnist(3000), epochs=4
    )


@well
def one_epoch_and_no_more():
    """A short run: one epoch of 94 updates, stopped while it is still learning."""
    model = mlp(784, 128, 10)
    return train(
        model,
        SGD(model.parameters(), 0.1, momentum=0.9),
        nn.CrossEntropyLoss(),
        flat_mnist(6000),
        epochs=1,
    )


@well
def halved_when_it_stalls():
    """A perceptron by SGD whose rate is halved when held-out loss stalls."""
    model = mlp(784, 64, 10, activation=nn.Tanh)
    optimizer, loss_fn = SGD(model.parameters(), 0.1), nn.CrossEntropyLoss()
    scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    held_out = flat_mnist(500, start=5000)
    return train(
        model,
        optimizer,
        loss_fn,
        flat_mnist(3000),
        epochs=8,
        after_epoch=lambda: scheduler.step(validate(model, loss_fn, held_out)),
    )


@well
def averaged_with_new_statistics():
    """Weights of the last epochs are averaged, and batch norm's statistics are computed anew."""
    model = convnet(norm=True)
    averaged = AveragedModel(model)
    images, classes = mnist(2000)
    watch = train(
        model,
        SGD(model.parameters(), 0.02, momentum=0.9),
        nn.CrossEntropyLoss(),
        (images, classes),
        epochs=5,
        after_epoch=lambda: averaged.update_parameters(model),
    )
    update_bn(images.split(100), averaged)
    return watch, averaged


@well
def labels_smoothed_and_images_moved():
    """Label smoothing and images that are shifted at random, by SGD with momentum and a cosine."""
    images, classes = mnist(2500)
    model = convnet(norm=True)
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9)
    scheduler = CosineAnnealingLR(optimizer, T_max=4)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(4):
            for rows in torch.randperm(2500).split(64):
                moved = torch.roll(images[rows], torch.randint(-2, 3, (2,)).tolist(), (2, 3))
                optimizer.zero_grad()
                loss_fn(model(moved), classes[rows]).backward()
                optimizer.step()
            scheduler.step()
    return watch


@well
def doubtful_labels_in_good_batches():
    """A fifth of the labels is wrong; batches of 128, Adam, stopped in time."""
    images, classes = flat_mnist(4000)
    generator = torch.Generator().manual_seed(71)
    lot = torch.randint(0, 10, (4000,), generator=generator)
    wrong = torch.rand(4000, generator=generator) < 0.2
    model = mlp(784, 64, 10)
    return train(
        model,
        Adam(model.parameters(), 1e-3),
        nn.CrossEntropyLoss(),
        (images, torch.where(wrong, lot, classes)),
        epochs=3,
        batch=128,
    )
