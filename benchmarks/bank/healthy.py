"""Healthy runs: trainings that reach a good loss, with the ordinary means of doing so."""

from __future__ import annotations

import torch
from torch import nn

import thalweg
from thalweg.doctor import Watch
from thalweg.problems.characters import cross_entropy

from .loop import clip, train
from .material import Batches, cnn, digits, images, lstm, mlp, text, transformer
from .run import healthy


@healthy
def mlp_sgd_momentum() -> Watch:
    """A perceptron learns digits by SGD with momentum."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]), validation=digits()[1])


@healthy
def cnn_batch_norm() -> Watch:
    """A convolutional network with batch normalization learns digits by SGD with momentum."""
    model = cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)
    return train(model, optimizer, Batches(images()[0]), 4, validation=images()[1])


@healthy
def lstm_adam_clipped() -> Watch:
    """An LSTM learns the next letter by Adam, its gradient clipped."""
    model = lstm()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return train(model, optimizer, Batches(text()[0]), 10, cross_entropy, before_update=clip(model))


@healthy
def transformer_adamw() -> Watch:
    """A transformer learns the next letter by thalweg's AdamW."""
    model = transformer()
    optimizer = thalweg.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    return train(model, optimizer, Batches(text()[0]), 10, cross_entropy)
