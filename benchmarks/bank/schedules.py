"""Faulty schedules: too short, too long, without warm-up, stepped at the wrong place."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import lr_scheduler

import thalweg
from thalweg import watch
from thalweg.doctor import Diagnosis
from thalweg.problems.characters import cross_entropy

from .loop import clip, train
from .material import CONTEXT, LETTERS, Batches, cnn, digits, images, lstm, mlp, text, transformer
from .run import faulty


@faulty("GD405")
def mlp_cosine_far_too_short() -> Diagnosis:
    """A cosine over 60 updates in a run of 340: the rate rises and falls again and again."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, 60)
    return train(model, optimizer, Batches(digits()[0]), after_update=cosine.step)


@faulty("GD405")
def transformer_linear_decay_ends_early() -> Diagnosis:
    """The rate of a transformer falls to zero in a quarter of the run and stays there."""
    model = transformer()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    decay = lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=32)
    return train(model, optimizer, Batches(text()[0]), 8, cross_entropy, after_update=decay.step)


@faulty("GD405")
def lstm_thalweg_cosine_ends_early() -> Diagnosis:
    """The rate of an LSTM is thalweg's cosine over 40 updates, in a run of 128."""
    model = lstm()
    rate = thalweg.schedules.cosine(5e-3, steps=40)
    optimizer = thalweg.optim.Adam(model.parameters(), lr=rate)
    return train(model, optimizer, Batches(text()[0]), 8, cross_entropy, before_update=clip(model))


@faulty("GD406")
def cnn_one_cycle_for_a_longer_run() -> Diagnosis:
    """A one-cycle schedule for 30 epochs, of which four are trained."""
    model, batches = cnn(), Batches(images()[0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=30, steps_per_epoch=len(batches))
    return train(model, optimizer, batches, 4, validation=images()[1], after_update=cycle.step)


@faulty("GD406")
def mlp_cosine_for_a_longer_run() -> Diagnosis:
    """A cosine over 100 epochs, of which ten are trained."""
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, 100)
    return train(
        model, optimizer, Batches(digits()[0]), 10, validation=digits()[1],
        after_epoch=cosine.step,
    )  # fmt: skip


class PostNorm(nn.Module):
    """A transformer that normalizes behind each part, as the first ones did."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, 32)
        self.position = nn.Parameter(0.02 * torch.randn(CONTEXT, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 128, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 6)
        self.output = nn.Linear(32, LETTERS)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(letters.shape[1])
        hidden = self.embedding(letters) + self.position
        return self.output(self.layers(hidden, mask=mask, is_causal=True))


@faulty("GD407", "GD202", because="a rate that is good after a warm-up is too large before it")
def transformer_without_warm_up() -> Diagnosis:
    """A transformer of six layers, normalized behind each part, starts at Adam's full rate."""
    model = PostNorm()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, betas=(0.9, 0.98))
    return train(model, optimizer, Batches(text()[0]), 5, cross_entropy)


@faulty("GD407")
def transformer_warm_up_left_out_by_a_milestone() -> Diagnosis:
    """Warm-up and cosine follow one another at milestone 0, so that nothing is warmed up."""
    model, batches = PostNorm(), Batches(text()[0])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    parts = [
        lr_scheduler.LinearLR(optimizer, 0.01, total_iters=30),
        lr_scheduler.CosineAnnealingLR(optimizer, 5 * len(batches)),
    ]
    schedule = lr_scheduler.SequentialLR(optimizer, parts, milestones=[0])
    return train(model, optimizer, batches, 5, cross_entropy, after_update=schedule.step)


@faulty("GD408")
def mlp_cosine_of_epochs_stepped_by_updates() -> Diagnosis:
    """A cosine over ten epochs is stepped after each update of ten epochs."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return train(
        model, optimizer, Batches(digits()[0]), 10, validation=digits()[1],
        after_update=cosine.step,
    )  # fmt: skip


@faulty("GD408")
def cnn_one_cycle_of_updates_stepped_by_epochs() -> Diagnosis:
    """A one-cycle schedule over all updates is stepped once an epoch."""
    model, batches, epochs = cnn(), Batches(images()[0]), 6
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * len(batches))
    return train(model, optimizer, batches, epochs, validation=images()[1], after_epoch=cycle.step)


@faulty("GD408")
def mlp_cosine_of_updates_stepped_by_batches() -> Diagnosis:
    """Four batches make an update; a cosine over all updates is stepped after each batch."""
    model, loss_fn, batches, epochs = mlp(), nn.CrossEntropyLoss(), Batches(digits()[0], 8), 8
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches) // 4)
    with watch(model, optimizer, loss_fn) as watching:
        for _ in range(epochs):
            for number, (inputs, targets) in enumerate(batches, 1):
                (loss_fn(model(inputs), targets) / 4).backward()
                if number % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
                cosine.step()
    return watching.diagnosis
