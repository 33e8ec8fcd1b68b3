"""Faulty learning rates: too small, too large, unstable, spiked, noisy, out of proportion."""

from __future__ import annotations

import torch
from torch import nn

import thalweg
from thalweg.doctor import Diagnosis
from thalweg.problems import Split
from thalweg.problems.characters import cross_entropy

from .loop import train
from .material import (
    Batches,
    Scanner,
    cnn,
    digits,
    images,
    measurements,
    mlp,
    scanned,
    text,
    transformer,
)
from .run import faulty

SWINGS = "a rate at which the loss swings at a high level is too large and beyond the stable one"
NOISE = (
    "the noise of a step is its rate times the variance over the batch: one is too large for both"
)


@faulty("GD201")
def mlp_rate_of_a_millionth() -> Diagnosis:
    """A perceptron is trained by SGD at 1e-6."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    return train(model, optimizer, Batches(digits()[0]))


@faulty("GD201")
def mlp_rate_of_a_thousandth() -> Diagnosis:
    """A perceptron is trained by SGD without momentum at 1e-3: the loss falls in a line."""
    model = mlp()
    optimizer = thalweg.optim.SGD(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(digits()[0]), 12)


@faulty("GD201")
def cnn_slow_momentum() -> Diagnosis:
    """A convolutional network is trained by SGD with momentum at 1e-5."""
    model = cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)
    return train(model, optimizer, Batches(images()[0]), 5)


@faulty("GD201")
def transformer_adam_of_a_millionth() -> Diagnosis:
    """A transformer is trained from nothing by Adam at 1e-6."""
    model = transformer()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-6)
    return train(model, optimizer, Batches(text()[0]), 4, cross_entropy)


@faulty("GD202", "GD203", because=SWINGS)
def mlp_rate_of_one() -> Diagnosis:
    """A perceptron with tanh is trained by SGD with momentum at 1."""
    model = mlp(activation=nn.Tanh)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]))


@faulty("GD202", "GD203", because=SWINGS)
def lstm_sgd_of_ten() -> Diagnosis:
    """An LSTM that reads digits row by row is trained by SGD with momentum at 10."""
    model = Scanner()
    optimizer = torch.optim.SGD(model.parameters(), lr=10.0, momentum=0.9)
    return train(model, optimizer, Batches(scanned()[0]), 5)


@faulty("GD202", "GD203", because=SWINGS)
def transformer_adamw_of_one() -> Diagnosis:
    """A transformer is trained by thalweg's AdamW at 1, three hundred times what suits it."""
    model = transformer()
    optimizer = thalweg.optim.AdamW(model.parameters(), lr=1.0)
    return train(model, optimizer, Batches(text()[0]), 4, cross_entropy)


@faulty("GD202")
def regression_swings_with_momentum() -> Diagnosis:
    """Gradient descent with momentum 0.99 on all patients: the loss swings up and down for long."""
    model = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.99)
    return train(model, optimizer, Batches(measurements()[0], 342), 150, nn.MSELoss())


@faulty("GD203")
def regression_diverges() -> Diagnosis:
    """Gradient descent on all patients, a tenth beyond the largest stable rate."""
    inputs, targets = measurements()[0]
    steepest = float(torch.linalg.eigvalsh(2 * inputs.T @ inputs / len(inputs))[-1])
    model = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.1 * 2 / steepest)
    return train(model, optimizer, Batches(Split(inputs, targets), 342), 60, nn.MSELoss())


@faulty("GD203", "GD202", because=SWINGS)
def mlp_rate_beyond_stable() -> Diagnosis:
    """A perceptron with tanh is trained by SGD at 5 on large batches."""
    model = mlp(activation=nn.Tanh)
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    return train(model, optimizer, Batches(digits()[0], 256), 25)


@faulty("GD203", "GD202", because=SWINGS)
def mlp_thalweg_momentum_beyond_stable() -> Diagnosis:
    """A perceptron is fitted to all patients by thalweg's SGD at 0.3, with momentum 0.95."""
    model = mlp(10, 32, 32, 1, activation=nn.Tanh)
    optimizer = thalweg.optim.SGD(model.parameters(), lr=0.3, momentum=0.95)
    return train(model, optimizer, Batches(measurements()[0], 342), 84, nn.MSELoss())


@faulty("GD204")
def mlp_broken_batches() -> Diagnosis:
    """Every 40th batch comes from a broken sensor: its inputs are 30 times as large."""
    model, batches = mlp(activation=nn.GELU), Batches(digits()[0])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    broken = [
        Split(inputs * (30 if number % 40 == 39 else 1), targets)
        for number, (inputs, targets) in enumerate(each for _ in range(10) for each in batches)
    ]
    return train(model, optimizer, broken, 1)


@faulty("GD204")
def mlp_mistyped_targets() -> Diagnosis:
    """Three of 342 patients have a target a hundred times too large, under the squared error."""
    inputs, targets = measurements()[0]
    targets = targets.clone()
    targets[[20, 150, 300]] *= 100
    model = mlp(10, 32, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return train(model, optimizer, Batches(Split(inputs, targets), 16), 15, nn.MSELoss())


class Recurrent(nn.Module):
    """A plain recurrent network that reads an image pixel by pixel, its weights a little large."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(1, 32, batch_first=True)
        self.output = nn.Linear(32, 10)
        nn.init.orthogonal_(self.rnn.weight_hh_l0, 1.5)

    def forward(self, pixels):
        return self.output(self.rnn(pixels)[0][:, -1])


@faulty("GD204", "GD304", because="a cliff is where the gradient explodes through time")
def rnn_cliffs() -> Diagnosis:
    """A recurrent network reads 64 pixels one by one; its gradient is not clipped at cliffs."""
    inputs, targets = digits()[0]
    model = Recurrent()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(model, optimizer, Batches(Split(inputs[:, :, None], targets)), 4)


@faulty("GD205", "GD506", because=NOISE)
def regression_one_by_one() -> Diagnosis:
    """A linear model is fitted by SGD at a constant 0.03 to one patient at a time."""
    model = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    return train(model, optimizer, Batches(measurements()[0], 1), 4, nn.MSELoss())


@faulty("GD205", "GD506", because=NOISE)
def mlp_constant_rate_for_pairs() -> Diagnosis:
    """A perceptron is fitted to two patients at a time by Adam at a constant 0.03."""
    model = mlp(10, 32, 1, activation=nn.Tanh)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    return train(model, optimizer, Batches(measurements()[0], 2), 6, nn.MSELoss())


@faulty("GD209")
def transformer_group_of_a_billionth() -> Diagnosis:
    """The layers of a transformer are in a group with lr=1e-9 where 1e-3 was meant."""
    model = transformer()
    body = list(model.layers.parameters())
    rest = [p for name, p in model.named_parameters() if not name.startswith("layers.")]
    groups = [{"params": body, "lr": 1e-9}, {"params": rest, "lr": 1e-3}]
    optimizer = torch.optim.Adam(groups)
    return train(model, optimizer, Batches(text()[0]), 4, cross_entropy)


@faulty("GD209")
def mlp_huge_first_layer() -> Diagnosis:
    """The first layer of a perceptron before a layer norm is 10,000 times as large as usual."""
    model = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), *mlp(64, 32, 10))
    with torch.no_grad():
        model[0].weight.mul_(1e4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]), 6)
