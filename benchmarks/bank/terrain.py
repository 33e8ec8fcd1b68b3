"""Difficult terrain: plateaus, saddles and ravines that the rule is not made for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thalweg.doctor import Diagnosis
from thalweg.problems import Split, surfaces

from .loop import train
from .material import Batches, digits, measurements, mlp
from .run import faulty


def descend(
    surface: surfaces.Surface, lr: float, momentum: float = 0.0, steps: int = 200
) -> Diagnosis:
    """Walk down a surface by gradient descent."""
    problem = surfaces.as_problem(surface)
    model = problem.make_model(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return train(model, optimizer, Batches(Split(*problem.train)), steps, problem.loss)


@faulty("GD206")
def surface_plateau() -> Diagnosis:
    """A logistic unit is fitted by least squares from far away, where its slope is gone."""
    return descend(surfaces.catalogue["plateau"], 0.1)


class Welsch(nn.Module):
    """A loss that forgives outliers: flat far away from the target."""

    def forward(self, output: Tensor, targets: Tensor) -> Tensor:
        return (1 - torch.exp(-(output - targets).pow(2) / 2)).mean()


@faulty("GD206")
def mlp_loss_flat_far_away() -> Diagnosis:
    """A perceptron under a loss that is flat far from the targets, which lie around 6."""
    inputs, targets = measurements()[0]
    model = mlp(10, 32, 1, activation=nn.Tanh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(model, optimizer, Batches(Split(inputs, targets / 2 + 6)), 20, Welsch())


@faulty("GD207")
def autoencoder_begins_at_a_saddle() -> Diagnosis:
    """A linear autoencoder begins with weights around a millionth, beside the saddle at zero."""
    model = nn.Sequential(nn.Linear(64, 16, bias=False), nn.Linear(16, 64, bias=False))
    optimizer = torch.optim.SGD(_tiny(model).parameters(), lr=0.3)
    pixels = digits()[0].inputs
    return train(model, optimizer, Batches(Split(pixels, pixels), 128), 4, nn.MSELoss())


@faulty("GD207")
def regression_begins_at_a_saddle() -> Diagnosis:
    """Two layers with tanh between them begin with weights around a millionth."""
    model = mlp(10, 32, 1, activation=nn.Tanh)
    optimizer = torch.optim.SGD(_tiny(model).parameters(), lr=0.1)
    return train(model, optimizer, Batches(measurements()[0], 114), 12, nn.MSELoss())


def _tiny(model: nn.Module) -> nn.Module:
    for weights in model.parameters():
        nn.init.normal_(weights, std=1e-6)
    return model


@faulty("GD208")
def surface_ravine() -> Diagnosis:
    """Gradient descent in a ravine whose walls are 10,000 times as steep as its floor."""
    return descend(surfaces.ravine(10_000), 1.5e-4, steps=300)


@faulty("GD208")
def regression_on_correlated_features() -> Diagnosis:
    """Ten standardised features that are all but copies of one another, by gradient descent."""
    torch.manual_seed(1)
    inputs = torch.randn(400, 1) + 0.03 * torch.randn(400, 10)
    targets = (inputs - inputs.mean(1, keepdim=True)) @ torch.randn(10, 1) / 0.03
    model = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    examples = Split((inputs - inputs.mean(0)) / inputs.std(0), targets)
    return train(model, optimizer, Batches(examples, 400), 300, nn.MSELoss())


@faulty("GD208")
def regression_on_powers() -> Diagnosis:
    """The standardised powers 1 to 9 of one number as features, by gradient descent."""
    number = torch.linspace(0, 1, 300)[:, None]
    powers = torch.cat([number**k for k in range(1, 10)], 1)
    examples = Split((powers - powers.mean(0)) / powers.std(0), torch.sin(12 * number))
    model = nn.Linear(9, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return train(model, optimizer, Batches(examples, 300), 300, nn.MSELoss())
