"""Trainings whose learning rate does not suit the terrain, or whose terrain is hard."""

import torch
from sklearn import datasets
from torch import nn
from torch.optim import SGD, Adam

import thalweg
from fresh.data import (
    cifar,
    diabetes,
    digits,
    flat_mnist,
    letter_loss,
    linear,
    lines,
    mnist,
    moons,
    ratings,
    sines,
    sums_of_two,
    table,
)
from fresh.loop import descend, train
from fresh.models import Factors, Gpt, Reader, Speller, convnet, initialise, mlp
from fresh.registry import ill


@ill("GD201")
def spelling_by_millionths():
    """An LSTM tells letters, by Adam at 1e-6."""
    model = Speller()
    return train(model, Adam(model.parameters(), 1e-6), letter_loss, lines(512), epochs=4)


@ill("GD201")
def autoencoder_hardly_moves():
    """An autoencoder of images, by SGD at 1e-3 on the mean over pixels."""
    images, _ = flat_mnist(3000)
    model = mlp(784, 64, 784)
    return train(model, SGD(model.parameters(), 1e-3), nn.MSELoss(), (images, images), epochs=4)


@ill("GD201")
def images_by_hundred_thousandths():
    """A convolutional network with batch norm, by SGD with momentum at 1e-5."""
    model = convnet(3, 32, norm=True)
    return train(
        model,
        SGD(model.parameters(), 1e-5, momentum=0.9),
        nn.CrossEntropyLoss(),
        cifar(),
        epochs=3,
    )


@ill("GD202", "GD203")
def images_by_adam_of_a_tenth():
    """A convolutional network without normalization, by Adam at 0.1."""
    model = convnet(3, 32)
    return train(model, Adam(model.parameters(), 0.1), nn.CrossEntropyLoss(), cifar(), epochs=4)


@ill("GD202", "GD203")
def spelling_by_adam_of_three_tenths():
    """A GRU tells letters, by Adam at 0.3."""
    model = Speller(nn.GRU)
    return train(model, Adam(model.parameters(), 0.3), letter_loss, lines(1024), epochs=6)


@ill("GD202", "GD203")
def digits_by_high_momentum():
    """A perceptron of two hidden layers, by SGD at 1 with momentum 0.9."""
    model = mlp(64, 64, 64, 10)
    return train(
        model,
        SGD(model.parameters(), 1.0, momentum=0.9),
        nn.CrossEntropyLoss(),
        digits(),
        epochs=15,
    )


@ill("GD202", "GD203")
def digits_by_adam_of_one():
    """A perceptron of two hidden layers, by Adam at 1."""
    model = mlp(64, 64, 64, 10)
    return train(model, Adam(model.parameters(), 1.0), nn.CrossEntropyLoss(), digits(), epochs=15)


@ill("GD203", "GD202")
def wine_beyond_stable():
    """A linear model of thirteen standardised features of wine, a little beyond what is stable."""
    features, classes = table(datasets.load_wine)
    model = nn.Linear(13, 1)
    steepest = torch.linalg.eigvalsh(2 * features.T @ features / len(features)).max().item()
    targets = classes.float().unsqueeze(1) - 1
    optimizer = SGD(model.parameters(), 2.05 / steepest)
    return descend(model, optimizer, nn.MSELoss(), (features, targets), steps=200)


@ill("GD203", "GD202")
def curve_beyond_stable():
    """A perceptron is fitted to a curve by gradient descent at 0.2."""
    model = mlp(1, 50, 50, 1, activation=nn.Tanh)
    return descend(model, SGD(model.parameters(), 0.2), nn.MSELoss(), sines(), steps=600)


@ill("GD203", "GD202")
def nesterov_beyond_stable():
    """Least squares on patients by Nesterov momentum, in steps a little too long."""
    model = nn.Linear(10, 1)
    optimizer = SGD(model.parameters(), 0.173, momentum=0.9, nesterov=True)
    return descend(model, optimizer, nn.MSELoss(), diabetes(), steps=150)


@ill("GD204")
def claims_with_heavy_tails():
    """A perceptron is fitted under the squared error to amounts of which a few are enormous."""
    features, targets = linear(2000, 10, noise=0.3)
    generator = torch.Generator().manual_seed(37)
    rare = torch.rand(len(targets), 1, generator=generator) < 0.003
    model = mlp(10, 32, 1)
    return train(
        model,
        Adam(model.parameters(), 2e-3),
        nn.MSELoss(),
        (features, torch.where(rare, targets + 60, targets)),
        epochs=15,
        batch=32,
    )


@ill("GD204")
def files_that_were_not_divided():
    """Every 50th batch of images comes from files whose pixels were left between 0 and 255."""
    images, classes = mnist(4000)
    images = images.clone()
    chosen = torch.arange(len(images)) % 1600 < 32
    images[chosen] = (images[chosen] * 0.3081 + 0.1307) * 255
    model = convnet()
    optimizer, loss_fn = Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss()
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(4):
            for number in torch.randperm(len(images) // 32):
                rows = slice(32 * number, 32 * number + 32)
                optimizer.zero_grad()
                loss_fn(model(images[rows]), classes[rows]).backward()
                optimizer.step()
    return watch


@ill("GD204")
def counts_under_an_exponential():
    """Counts are told by the exponential of a linear model, by SGD: now and then it overshoots."""
    features, targets = linear(2000, 10, noise=0.2)
    counts = torch.poisson((1.2 * targets).exp(), generator=torch.Generator().manual_seed(41))
    model = mlp(10, 32, 1)
    return train(
        model,
        SGD(model.parameters(), 0.02),
        nn.PoissonNLLLoss(),
        (features, counts),
        epochs=20,
        batch=8,
    )


@ill("GD205", "GD506", "GD202")
def noisy_curve_at_a_constant_rate():
    """A perceptron is fitted to a noisy curve, two points at a time, at a constant high rate."""
    model = mlp(1, 32, 1, activation=nn.Tanh)
    return train(
        model, SGD(model.parameters(), 0.06), nn.MSELoss(), sines(noise=0.5), epochs=10, batch=2
    )


@ill("GD205", "GD506", "GD202")
def noisy_sum_one_by_one():
    """A linear model of twenty features, one example at a time at a constant 0.03."""
    model = nn.Linear(20, 1)
    return train(
        model, SGD(model.parameters(), 0.03), nn.MSELoss(), linear(noise=1.0), epochs=5, batch=1
    )


@ill("GD206")
def answers_begin_at_the_wrong_end():
    """A logistic output under the squared error begins far on the wrong side of every example."""
    points, _ = moons()
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1), nn.Sigmoid())
    nn.init.constant_(model[2].bias, -18.0)
    return train(
        model,
        SGD(model.parameters(), 0.5),
        nn.MSELoss(),
        (points, torch.ones(len(points), 1)),
        epochs=20,
    )


@ill("GD206", "GD303")
def sums_are_not_remembered():
    """A recurrent network is to add two numbers of a long sequence; it never leaves the mean."""
    model = Reader(nn.RNN, 2, 32, 1)
    return train(model, SGD(model.parameters(), 0.02), nn.MSELoss(), sums_of_two(), epochs=10)


@ill("GD206")
def peak_that_is_too_far_away():
    """A bell curve's place is sought from so far away that its slope is as good as nothing."""

    class Bell(nn.Module):
        def __init__(self):
            super().__init__()
            self.place = nn.Parameter(torch.tensor([6.0]))

        def forward(self, inputs):
            return (-((inputs - self.place) ** 2) * 2).exp()

    inputs = torch.linspace(-1, 1, 200).unsqueeze(1)
    model = Bell()
    targets = (-(inputs**2) * 2).exp()
    return train(
        model, SGD(model.parameters(), 0.1), nn.MSELoss(), (inputs, targets), epochs=100, batch=50
    )


@ill("GD207")
def tastes_begin_at_nothing():
    """The factors of users and films begin around a millionth, where both gradients vanish."""
    model = Factors(spread=1e-6)
    return descend(model, SGD(model.parameters(), 5.0), nn.MSELoss(), ratings(), steps=150)


@ill("GD207")
def between_two_valleys():
    """Two numbers slide along the ridge between two valleys and stop on its saddle."""

    class Valleys(nn.Module):
        def __init__(self):
            super().__init__()
            self.along = nn.Parameter(torch.tensor(2.0))
            self.across = nn.Parameter(torch.tensor(1e-7))

        def forward(self, _):
            height = self.along**2 - self.across**2 + self.across**4 / 4
            return height.reshape(1)

    model = Valleys()
    data = torch.zeros(1, 1), torch.full((1,), -1.0)
    return descend(model, SGD(model.parameters(), 0.05), nn.L1Loss(), data, steps=100)


@ill("GD207")
def linear_layers_begin_small():
    """Two linear layers begin so small that their product and its gradients are nothing."""
    images, _ = digits()
    model = nn.Sequential(nn.Linear(64, 16, bias=False), nn.Linear(16, 64, bias=False))
    initialise(model, lambda weight: nn.init.normal_(weight, std=1e-7))
    return descend(model, SGD(model.parameters(), 0.3), nn.MSELoss(), (images, images), steps=200)


@ill("GD208")
def down_the_banana():
    """Rosenbrock's valley by gradient descent."""

    class Banana(nn.Module):
        def __init__(self):
            super().__init__()
            self.place = nn.Parameter(torch.tensor([-1.2, 1.0]))

        def forward(self, _):
            x, y = self.place
            return torch.stack([1 - x, 10 * (y - x**2)]).unsqueeze(0)

    model = Banana()
    return descend(
        model,
        SGD(model.parameters(), 1.5e-3),
        nn.MSELoss(reduction="sum"),
        (torch.zeros(1, 1), torch.zeros(1, 2)),
        steps=1000,
    )


@ill("GD208")
def changes_told_from_levels():
    """What is wanted is the last change of a level; given are its twenty latest values."""
    generator = torch.Generator().manual_seed(43)
    changes = torch.randn(1000, 300, generator=generator)
    levels = changes.cumsum(1)[:, -20:]
    features = (levels - levels.mean(0)) / levels.std(0)
    model = nn.Linear(20, 1)
    return descend(
        model, SGD(model.parameters(), 0.04), nn.MSELoss(), (features, changes[:, -1:]), steps=400
    )


@ill("GD208")
def two_thermometers():
    """Two thermometers show nearly the same; what is wanted is a hundred times their difference."""
    generator = torch.Generator().manual_seed(47)
    common = torch.randn(500, 1, generator=generator)
    apart = 0.02 * torch.randn(500, 1, generator=generator)
    features = torch.cat([common + apart, common - apart], 1)
    model = nn.Linear(2, 1)
    return descend(
        model, SGD(model.parameters(), 0.4), nn.MSELoss(), (features, 50 * apart), steps=300
    )


@ill("GD209", "GD201")
def backbone_of_a_ten_billionth():
    """The backbone is to learn more slowly than the head, and gets a rate of 1e-10."""
    model = convnet()
    body, head = model[:-1], model[-1]
    optimizer = SGD(
        [{"params": body.parameters(), "lr": 1e-10}, {"params": head.parameters()}],
        lr=0.05,
        momentum=0.9,
    )
    return train(model, optimizer, nn.CrossEntropyLoss(), mnist(3000))


@ill("GD209", "GD202")
def steps_as_long_as_the_weights():
    """A transformer whose weights begin around a thousandth takes steps of a tenth by Adam."""
    model = initialise(Gpt(), lambda weight: nn.init.normal_(weight, std=1e-3))
    return train(model, Adam(model.parameters(), 0.1), letter_loss, lines(512), epochs=4)


@ill("GD209")
def embedding_of_ten_thousand():
    """Embeddings begin ten thousand times too large, behind them a layer norm; Adam at 1e-3."""
    model = Gpt()
    with torch.no_grad():
        model.embedding.weight.mul_(10_000)
    return train(model, Adam(model.parameters(), 1e-3), letter_loss, lines(512), epochs=4)
