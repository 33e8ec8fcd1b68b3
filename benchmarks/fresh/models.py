"""The networks that these trainings share."""

from itertools import pairwise

import torch
from torch import nn

from fresh.data import SPAN, letters


def mlp(*widths, activation=nn.ReLU):
    layers = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def convnet(channels=1, size=28, norm=False, dropout=0.0):
    def block(inputs, outputs):
        between = [nn.BatchNorm2d(outputs)] if norm else []
        return [nn.Conv2d(inputs, outputs, 3, padding=1), *between, nn.ReLU(), nn.MaxPool2d(2)]

    wide = 16 * (size // 4) ** 2
    end = [nn.Flatten(), nn.Dropout(dropout), nn.Linear(wide, 10)]
    return nn.Sequential(*block(channels, 8), *block(8, 16), *end)


def initialise(model, how):
    """Call how on every weight that is a matrix or a kernel."""
    for weight in model.parameters():
        if weight.ndim > 1:
            how(weight)
    return model


class Reader(nn.Module):
    """A recurrent network that reads a sequence and answers at its end."""

    def __init__(self, kind, inputs, hidden, outputs, **options):
        super().__init__()
        self.rnn = kind(inputs, hidden, batch_first=True, **options)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, sequence):
        return self.head(self.rnn(sequence)[0][:, -1])


class Speller(nn.Module):
    """A recurrent network that tells the next letter at each place."""

    def __init__(self, kind=nn.LSTM, hidden=64):
        super().__init__()
        self.embedding = nn.Embedding(letters()[1], 32)
        self.rnn = kind(32, hidden, batch_first=True)
        self.head = nn.Linear(hidden, letters()[1])

    def forward(self, text):
        return self.head(self.rnn(self.embedding(text))[0])


class Gpt(nn.Module):
    """A small transformer that tells the next letter."""

    def __init__(self, width=48, layers=2, norm_first=True, dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(letters()[1], width)
        self.places = nn.Parameter(0.02 * torch.randn(SPAN, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout, batch_first=True, norm_first=norm_first
        )
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, letters()[1])

    def forward(self, text):
        mask = nn.Transformer.generate_square_subsequent_mask(text.shape[1])
        hidden = self.embedding(text) + self.places[: text.shape[1]]
        return self.head(self.norm(self.body(hidden, mask=mask, is_causal=True)))


class Words(nn.Module):
    """The mean of the embeddings of a sentence's words, and two layers on it."""

    def __init__(self, words=60, width=24):
        super().__init__()
        self.embedding = nn.Embedding(words, width, padding_idx=0)
        self.end = mlp(width, 32, 2)

    def forward(self, text):
        present = (text > 0).unsqueeze(-1)
        return self.end((self.embedding(text) * present).sum(1) / present.sum(1))


class Factors(nn.Module):
    """Scores as products of what is known of users and films."""

    def __init__(self, users=200, films=150, width=8, spread=0.3):
        super().__init__()
        self.users, self.films = nn.Embedding(users, width), nn.Embedding(films, width)
        initialise(self, lambda weight: nn.init.normal_(weight, std=spread))

    def forward(self, pairs):
        return (self.users(pairs[:, 0]) * self.films(pairs[:, 1])).sum(1)
