"""Faulty layers: dead, saturated, too deep, all alike, and batch normalization gone wrong."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from thalweg import watch
from thalweg.doctor import Diagnosis
from thalweg.problems import Split
from thalweg.problems.characters import cross_entropy

from .loop import train
from .material import (
    Batches,
    cnn,
    digits,
    images,
    lstm,
    mlp,
    part,
    raw_digits,
    text,
)
from .run import faulty


def begun(model: nn.Module, weight: float, bias: float = 0.0) -> nn.Module:
    """Draw all matrices with this standard deviation, and set all biases."""
    for each in model.parameters():
        if each.ndim > 1:
            nn.init.normal_(each, std=weight)
        else:
            nn.init.constant_(each, bias)
    return model


@faulty("GD301", "GD202", because="the units died of a step that was too large")
def mlp_killed_by_one_step() -> Diagnosis:
    """The first update of a perceptron has a rate of 100, and the others a good one."""
    model, first = mlp(), [100.0]
    optimizer = torch.optim.SGD(model.parameters(), lr=first[0])

    def calm() -> None:
        optimizer.param_groups[0]["lr"] = 0.03

    return train(model, optimizer, Batches(digits()[0]), 8, after_update=calm)


@faulty("GD301")
def cnn_biases_far_below_zero() -> Diagnosis:
    """The convolutions of a network without normalization begin with biases of -3."""
    model = cnn(lambda channels: nn.Identity())
    for layer in (model[0], model[4]):
        nn.init.constant_(layer.bias, -3.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(images()[0]), 5)


@faulty("GD302")
def mlp_sigmoid_begun_large() -> Diagnosis:
    """A perceptron with sigmoids begins with weights that push them to their ends."""
    model = begun(mlp(activation=nn.Sigmoid), 3.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]))


@faulty("GD302")
def cnn_tanh_begun_large() -> Diagnosis:
    """A convolutional network with tanh begins with weights of standard deviation 2."""
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip
    begun(model, 2.0)
    nn.init.xavier_normal_(model[-1].weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(images()[0]), 6)


@faulty("GD303")
def mlp_ten_layers_of_sigmoids() -> Diagnosis:
    """Ten layers with sigmoids between them, begun as torch does, under SGD."""
    model = mlp(64, *[32] * 9, 10, activation=nn.Sigmoid)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]))


@faulty("GD303")
def mlp_twelve_small_layers() -> Diagnosis:
    """Twelve layers with tanh begin with weights of a third of the usual size."""
    model = begun(mlp(64, *[32] * 11, 10, activation=nn.Tanh), 0.06)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]))


@faulty("GD303")
def cnn_eight_sigmoid_convolutions() -> Diagnosis:
    """Eight convolutions with sigmoids between them, trained by Adam."""
    blocks = [
        layer
        for number in range(8)
        for layer in (nn.Conv2d(8 if number else 1, 8, 3, padding=1), nn.Sigmoid())
    ]
    model = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(512, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(images()[0]), 4)


@faulty("GD304")
def mlp_thirty_normalized_layers() -> Diagnosis:
    """Thirty layers with batch norm and no way around them: gradients grow from layer to layer."""
    blocks = [
        layer
        for number in range(30)
        for layer in (nn.Linear(32 if number else 64, 32), nn.BatchNorm1d(32), nn.ReLU())
    ]
    model = nn.Sequential(*blocks, nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]), 4)


@faulty("GD304", "GD302", because="tanh whose weights are so large saturates and explodes at once")
def mlp_chaotic_layers() -> Diagnosis:
    """Fifteen layers with tanh begin with weights four times as large as usual."""
    model = begun(mlp(64, *[64] * 14, 10, activation=nn.Tanh), 0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return train(model, optimizer, Batches(digits()[0]), 5)


@faulty("GD304", "GD203", "GD202", because="gradients that explode make every usual rate unstable")
def mlp_huge_relu_layers() -> Diagnosis:
    """Eight layers with ReLU begin with weights four times as large as He's, under Adam."""
    model = begun(mlp(64, *[64] * 7, 10), 0.7)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(digits()[0]), 6)


@faulty("GD305")
def mlp_constant_weights() -> Diagnosis:
    """All weights of a perceptron begin at 0.05, so that units of a layer stay equal."""
    model = mlp()
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.weight, 0.05)
        nn.init.zeros_(layer.bias)
    nn.init.constant_(model[4].weight, 0.05)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return train(model, optimizer, Batches(digits()[0]), 8)


@faulty("GD305")
def cnn_copied_channels() -> Diagnosis:
    """A network was widened by copying its channels, with what follows them."""
    model = cnn(nn.Identity)
    with torch.no_grad():
        model[0].weight[1:] = model[0].weight[:1]
        model[0].bias[1:] = model[0].bias[:1]
        model[4].weight[:, 1:] = model[4].weight[:, :1]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(images()[0]), 4)


@faulty("GD306")
def mlp_all_zero() -> Diagnosis:
    """Every weight and bias of a perceptron begins at zero."""
    model = mlp()
    for weights in model.parameters():
        nn.init.zeros_(weights)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]))


@faulty("GD306")
def cnn_zero_convolutions() -> Diagnosis:
    """The convolutions of a network without normalization begin at zero."""
    model = cnn(nn.Identity)
    for layer in (model[0], model[4]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(images()[0]), 4)


@faulty("GD306")
def lstm_all_zero() -> Diagnosis:
    """The weights of an LSTM, and the layer behind it, begin at zero."""
    model = lstm()
    for weights in [*model.lstm.parameters(), *model.output.parameters()]:
        nn.init.zeros_(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return train(model, optimizer, Batches(text()[0]), 5, cross_entropy)


@faulty("GD307")
def cnn_frozen_batch_norm_from_elsewhere() -> Diagnosis:
    """A network trained on dark images is trained on bright ones, its batch norm frozen."""
    model, (pixels, targets) = cnn(), images()[0]
    first = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    for inputs, classes in Batches(Split(0.05 * pixels - 0.5, targets)):
        first.zero_grad()
        functional.cross_entropy(model(inputs), classes).backward()
        first.step()
    _freeze(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    return train(model, optimizer, Batches(images()[0]), 4)


@faulty("GD307")
def cnn_first_normalization_never_in_training() -> Diagnosis:
    """Pixels up to 255 are left to a first batch norm, which is frozen before it saw any."""
    model, (pixels, targets) = nn.Sequential(nn.BatchNorm2d(1), *cnn()), raw_digits()[0]
    _freeze(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(Split(pixels.view(-1, 1, 8, 8), targets)), 4)


def _freeze(model: nn.Module) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


@faulty("GD308")
def cnn_batches_of_one() -> Diagnosis:
    """A convolutional network with batch norm sees one image at a time."""
    model = cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.003)
    return train(model, optimizer, Batches(part(images()[0], slice(300)), 1), 1)


@faulty("GD308")
def cnn_batches_of_one_accumulated() -> Diagnosis:
    """Sixteen images make an update, but batch norm sees one of them at a time."""
    model, loss_fn = cnn(), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    with watch(model, optimizer, loss_fn) as watching:
        for number, (inputs, targets) in enumerate(Batches(part(images()[0], slice(640)), 1), 1):
            (loss_fn(model(inputs), targets) / 16).backward()
            if number % 16 == 0:
                optimizer.step()
                optimizer.zero_grad()
    return watching.diagnosis


@faulty("GD309")
def cnn_averaged_without_moments() -> Diagnosis:
    """A network is averaged over its epochs; the batch norm of the average is never computed."""
    model = cnn()
    average = AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(
        model, optimizer, Batches(images()[0]), 5,
        after_epoch=lambda: average.update_parameters(model),
    )  # fmt: skip


@faulty("GD309")
def mlp_exponential_average_without_moments() -> Diagnosis:
    """A perceptron with batch norm is averaged at each update, without its moments."""
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    return train(
        model, optimizer, Batches(digits()[0]), 6,
        after_update=lambda: average.update_parameters(model),
    )  # fmt: skip
