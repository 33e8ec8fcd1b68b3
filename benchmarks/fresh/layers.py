"""Trainings whose layers are begun, joined or normalized wrongly."""

import copy

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import thalweg
from fresh.data import (
    cifar,
    diabetes,
    digits,
    flat_mnist,
    letter_loss,
    lines,
    mnist,
    sums_of_two,
)
from fresh.loop import train, validate
from fresh.models import Reader, Speller, convnet, initialise, mlp
from fresh.registry import ill


@ill("GD301")
def weights_drawn_below_zero():
    """The weights of a perceptron on pixels are drawn between -0.1 and 0 for all hidden units."""
    model = mlp(64, 64, 64, 10)
    for layer in (model[0], model[2]):
        nn.init.uniform_(layer.weight, -0.1, 0.0)
    return train(model, Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss(), digits(), epochs=10)


@ill("GD301")
def most_units_begin_dead():
    """Three quarters of the hidden units begin with a bias of -40."""
    model = mlp(784, 128, 64, 10)
    with torch.no_grad():
        model[0].bias[:96] = -40
        model[2].bias[:48] = -40
    return train(
        model, SGD(model.parameters(), 0.05, momentum=0.9), nn.CrossEntropyLoss(), flat_mnist()
    )


@ill("GD301", "GD202")
def channels_killed_at_the_start():
    """A convolutional network's first ten updates have a rate of 3, and the others of 0.02."""
    model = convnet()
    optimizer = SGD(model.parameters(), 3.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 if step < 10 else 0.007)
    return train(model, optimizer, nn.CrossEntropyLoss(), mnist(3000), after_update=scheduler.step)


@ill("GD302", "GD304")
def weights_of_standard_deviation_one():
    """A tanh perceptron begins with weights from the standard normal distribution."""
    model = initialise(mlp(784, 128, 128, 10, activation=nn.Tanh), nn.init.normal_)
    return train(model, SGD(model.parameters(), 0.01), nn.CrossEntropyLoss(), flat_mnist())


@ill("GD302")
def gates_pushed_to_their_ends():
    """The biases of an LSTM's gates begin at plus or minus fifteen."""
    model = Reader(nn.LSTM, 8, 64, 10)
    with torch.no_grad():
        model.rnn.bias_ih_l0.copy_(15.0 * torch.randn(256).sign())
    images, classes = digits()
    return train(
        model,
        Adam(model.parameters(), 1e-3),
        nn.CrossEntropyLoss(),
        (images.reshape(-1, 8, 8), classes),
        epochs=8,
    )


@ill("GD302")
def sigmoids_behind_a_wide_layer():
    """The hidden sigmoids of an autoencoder get sums of many large weights."""
    images, _ = flat_mnist(3000)
    model = nn.Sequential(nn.Linear(784, 100), nn.Sigmoid(), nn.Linear(100, 784))
    nn.init.uniform_(model[0].weight, -3, 3)
    return train(model, Adam(model.parameters(), 1e-3), nn.MSELoss(), (images, images))


@ill("GD303")
def eight_layers_of_sigmoids():
    """A perceptron of eight hidden layers with sigmoids, by SGD at 0.1."""
    model = mlp(784, *[64] * 8, 10, activation=nn.Sigmoid)
    return train(model, SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), flat_mnist(), epochs=4)


@ill("GD303")
def twenty_convolutions_in_a_row():
    """Twenty convolutions without normalization or ways around them, begun as torch does."""
    body = [nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.ReLU()]
    for _ in range(19):
        body += [nn.Conv2d(12, 12, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10))
    return train(
        model, SGD(model.parameters(), 0.01, momentum=0.9), nn.CrossEntropyLoss(), cifar(1000)
    )


@ill("GD303", "GD206")
def first_number_forgotten():
    """A recurrent network of small weights is to tell the first of eighty numbers."""
    generator = torch.Generator().manual_seed(53)
    sequences = torch.randn(800, 80, 1, generator=generator)
    classes = (sequences[:, 0, 0] > 0).long()
    model = Reader(nn.RNN, 1, 32, 2)
    nn.init.orthogonal_(model.rnn.weight_hh_l0, gain=0.5)
    return train(
        model, SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), (sequences, classes), epochs=8
    )


@ill("GD304")
def ten_layers_begun_large():
    """Ten hidden layers of 128 rectified units begin with a standard deviation of 0.3."""
    model = initialise(mlp(784, *[128] * 10, 10), lambda weight: nn.init.normal_(weight, std=0.3))
    return train(model, Adam(model.parameters(), 1e-4), nn.CrossEntropyLoss(), flat_mnist(3000))


@ill("GD304")
def echo_that_grows():
    """A recurrent network with rectified units begins with 1.4 times the identity."""
    model = Reader(nn.RNN, 2, 32, 1, nonlinearity="relu")
    with torch.no_grad():
        model.rnn.weight_hh_l0.copy_(1.4 * torch.eye(32))
    return train(
        model,
        Adam(model.parameters(), 1e-4),
        nn.MSELoss(),
        sums_of_two(length=40),
        epochs=8,
        clip=1.0,
    )


@ill("GD305")
def kernels_of_one_constant():
    """All kernels and matrices of a convolutional network begin at 0.02."""
    model = initialise(convnet(), lambda weight: nn.init.constant_(weight, 0.02))
    return train(
        model, SGD(model.parameters(), 0.05, momentum=0.9), nn.CrossEntropyLoss(), mnist(3000)
    )


@ill("GD305")
def spelling_with_equal_units():
    """The matrices of an LSTM begin at 0.1 and its biases at zero, so that its units are one."""
    model = Speller()
    for name, parameter in model.rnn.named_parameters():
        nn.init.constant_(parameter, 0.1 if "weight" in name else 0.0)
    return train(model, Adam(model.parameters(), 3e-3), letter_loss, lines(1024), epochs=4)


@ill("GD305")
def ones_over_the_width():
    """A regression's hidden layers begin as means: ones over the width, biases zero."""
    model = mlp(10, 40, 40, 1, activation=nn.Tanh)
    for layer in model[::2]:
        nn.init.constant_(layer.weight, 1 / layer.in_features)
        nn.init.zeros_(layer.bias)
    return train(model, Adam(model.parameters(), 3e-3), nn.MSELoss(), diabetes(), epochs=30)


@ill("GD306")
def every_matrix_begins_at_zero():
    """The matrices of a perceptron begin at zero, its biases as torch does."""
    model = initialise(mlp(784, 64, 64, 10), nn.init.zeros_)
    return train(model, Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss(), flat_mnist(3000))


class Adapted(nn.Module):
    """A frozen linear layer and a product of two thin matrices beside it."""

    def __init__(self, layer, rank=4):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Parameter(torch.zeros(rank, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, inputs):
        return self.layer(inputs) + inputs @ self.down.T @ self.up.T


@ill("GD306")
def adapters_with_both_sides_zero():
    """Both factors of a low-rank adapter begin at zero, so that neither ever gets a gradient."""
    model = mlp(784, 64, 64, 10)
    model[0], model[2] = Adapted(model[0]), Adapted(model[2])
    wanted = [each for each in model.parameters() if each.requires_grad]
    return train(model, AdamW(wanted, 3e-3), nn.CrossEntropyLoss(), flat_mnist(3000))


@ill("GD307")
def fresh_norms_frozen():
    """Batch norms of a new network are frozen as those of a pretrained one would be."""
    pixels, classes = mnist(3000)
    images = (pixels * 0.3081 + 0.1307) * 20
    model = convnet(norm=True)
    optimizer, loss_fn = Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss()
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(4):
            model.train()
            for layer in model.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()
            for rows in torch.randperm(3000).split(64):
                optimizer.zero_grad()
                loss_fn(model(images[rows]), classes[rows]).backward()
                optimizer.step()
    return watch


@ill("GD307")
def validated_in_training_mode():
    """Validation forgets eval mode: its batches are normalized by themselves and leave a trace."""
    images, classes = mnist(3000)
    others, answers = mnist(500, start=3000)
    model = convnet(norm=True)
    optimizer, loss_fn = Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss()
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(5):
            for rows in torch.randperm(3000).split(64):
                optimizer.zero_grad()
                loss_fn(model(images[rows]), classes[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                for rows in torch.arange(500).split(50):
                    loss_fn(model(others[rows]), answers[rows])
    return watch


@ill("GD307")
def statistics_that_hardly_move():
    """The batch norms' momentum is 1e-5, so that what they use in eval mode is where they began."""
    model = nn.Sequential(
        nn.Linear(784, 64), nn.BatchNorm1d(64, momentum=1e-5), nn.ReLU(), nn.Linear(64, 10)
    )
    return train(
        model,
        Adam(model.parameters(), 1e-3),
        nn.CrossEntropyLoss(),
        flat_mnist(3000),
        held_out=flat_mnist(500, start=3000),
    )


@ill("GD308")
def image_by_image():
    """A convolutional autoencoder with batch norm sees one image at a time."""
    images, _ = mnist(400)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
    )
    return train(
        model, Adam(model.parameters(), 1e-3), nn.MSELoss(), (images, images), epochs=3, batch=1
    )


@ill("GD308")
def images_summed_one_by_one():
    """Gradients of eight single images are summed for each update, under batch norm."""
    images, classes = cifar(600)
    model = convnet(3, 32, norm=True)
    optimizer = SGD(model.parameters(), 0.02, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for number, row in enumerate(torch.randint(0, 600, (1600,)), 1):
            loss = loss_fn(model(images[row : row + 1]), classes[row : row + 1]) / 8
            loss.backward()
            if number % 8 == 0:
                optimizer.step()
                optimizer.zero_grad()
    return watch


@ill("GD309")
def averaged_without_new_statistics():
    """Weights of the last epochs are averaged with torch's AveragedModel, without update_bn."""
    model = convnet(norm=True)
    averaged = AveragedModel(model)
    optimizer, loss_fn = SGD(model.parameters(), 0.05, momentum=0.9), nn.CrossEntropyLoss()
    watch = train(
        model,
        optimizer,
        loss_fn,
        mnist(2000),
        epochs=6,
        after_epoch=lambda: averaged.update_parameters(model),
    )
    validate(averaged, loss_fn, mnist(500, start=3000))
    return watch, averaged


@ill("GD309")
def exponential_average_by_torch():
    """An exponential average of the weights by torch, whose buffers are left as they were."""
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.98))
    optimizer = Adam(model.parameters(), 3e-3)
    watch = train(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        digits(),
        epochs=15,
        after_update=lambda: averaged.update_parameters(model),
    )
    return watch, averaged


@ill("GD309")
def exponential_average_by_hand():
    """The same by hand: a copy whose parameters follow and whose buffers stay at the start."""
    model = convnet(norm=True)
    slow = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def follow():
        for ours, theirs in zip(slow.parameters(), model.parameters(), strict=True):
            ours.lerp_(theirs, 0.02)

    watch = train(
        model,
        Adam(model.parameters(), 1e-3),
        nn.CrossEntropyLoss(),
        mnist(2000),
        epochs=4,
        after_update=follow,
    )
    return watch, slow
