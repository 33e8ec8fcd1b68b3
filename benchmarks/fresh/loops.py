"""Trainings whose optimizer, schedule or loop is set up wrongly."""

import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

import thalweg
from fresh.data import cifar, digits, flat_mnist, letter_loss, lines, mnist, moons, ratings, sines
from fresh.loop import train, validate
from fresh.models import Factors, Gpt, Speller, convnet, mlp
from fresh.registry import ill


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = mlp(784, 64, 32)
        self.head, self.auxiliary = nn.Linear(32, 10), nn.Linear(32, 10)

    def forward(self, images):
        return self.head(torch.relu(self.body(images)))


@ill("GD401")
def a_head_that_nobody_calls():
    """A second head of a network is optimized and never called."""
    model = TwoHeads()
    return train(model, AdamW(model.parameters(), 1e-3), nn.CrossEntropyLoss(), flat_mnist())


class Unheard(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = convnet()[:-1], nn.Linear(784, 10)

    def forward(self, images):
        with torch.no_grad():
            features = self.encoder(images)
        return self.head(features)


@ill("GD401")
def encoder_under_no_grad():
    """The encoder of images is called under no_grad, though its weights are in the optimizer."""
    model = Unheard()
    return train(model, Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss(), mnist(3000))


class Chooser(nn.Module):
    """Four experts of which a router chooses one for each example."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(64, 4)
        self.experts = nn.ModuleList(mlp(64, 32, 10) for _ in range(4))

    def forward(self, images):
        chosen = self.router(images).argmax(1)
        answers = torch.stack([expert(images) for expert in self.experts], 1)
        return answers[torch.arange(len(images)), chosen]


@ill("GD401")
def router_behind_an_argmax():
    """A router chooses experts by argmax, through which no gradient comes."""
    model = Chooser()
    return train(model, Adam(model.parameters(), 2e-3), nn.CrossEntropyLoss(), digits(), epochs=8)


@ill("GD402")
def decoder_forgotten():
    """The optimizer of an autoencoder was given the encoder alone."""
    images, _ = flat_mnist(3000)
    model = nn.Sequential()
    model.add_module("encoder", mlp(784, 64, 16))
    model.add_module("decoder", mlp(16, 64, 784))
    optimizer = Adam(model.encoder.parameters(), 1e-3)
    return train(model, optimizer, nn.MSELoss(), (images, images))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = mlp(64, 64, 10)
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.body(images) / self.temperature


@ill("GD402")
def temperature_forgotten():
    """A learnable temperature stands in no group of the optimizer."""
    model = Scaled()
    optimizer = SGD(model.body.parameters(), 0.1, momentum=0.9)
    return train(model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.hidden = [nn.Linear(64, 64) for _ in range(2)]
        self.head = nn.Linear(64, 10)

    def forward(self, images):
        images = torch.relu(self.first(images))
        for layer in self.hidden:
            images = torch.relu(layer(images))
        return self.head(images)


@ill("GD402")
def layers_in_a_plain_list():
    """Hidden layers are kept in a plain list, so that the model does not know them."""
    model = Listed()
    return train(model, Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss(), digits(), epochs=8)


@ill("GD403")
def tied_matrix_given_twice():
    """Embedding and output share one matrix, and both are given to the optimizer."""
    model = Speller(hidden=32)
    model.head.weight = model.embedding.weight
    wanted = [
        *model.embedding.parameters(),
        *model.rnn.parameters(),
        *model.head.parameters(),
    ]
    return train(model, SGD(wanted, 0.5), letter_loss, lines(1024), epochs=3)


@ill("GD403")
def head_with_an_optimizer_of_its_own():
    """The head is learned by an optimizer of its own, and by that of the whole model as well."""
    model = convnet()
    images, classes = mnist(3000)
    whole, head = Adam(model.parameters(), 1e-3), SGD(model[-1].parameters(), 0.01)
    loss_fn = nn.CrossEntropyLoss()
    with thalweg.watch(model, whole, loss_fn) as watch:
        for _ in range(4):
            for rows in torch.randperm(3000).split(64):
                whole.zero_grad()
                loss_fn(model(images[rows]), classes[rows]).backward()
                whole.step()
                head.step()
    return watch


@ill("GD404")
def images_by_adam_with_l2():
    """A convolutional network by Adam with weight_decay=5e-4."""
    model = convnet(3, 32, norm=True)
    return train(
        model, Adam(model.parameters(), 1e-3, weight_decay=5e-4), nn.CrossEntropyLoss(), cifar()
    )


@ill("GD404")
def spelling_by_rmsprop_with_l2():
    """An LSTM by RMSprop with weight_decay=1e-3."""
    model = Speller()
    optimizer = RMSprop(model.parameters(), 2e-3, weight_decay=1e-3)
    return train(model, optimizer, letter_loss, lines(1024), epochs=4)


@ill("GD404")
def ratings_by_adagrad_with_l2():
    """Factors of users and films by Adagrad with weight_decay=0.01."""
    model = Factors()
    optimizer = Adagrad(model.parameters(), 0.1, weight_decay=0.01)
    return train(model, optimizer, nn.MSELoss(), ratings(), epochs=10)


@ill("GD405")
def linear_decay_to_nothing_at_half():
    """The rate falls to zero by a function of one's own in a third of the run."""
    model = convnet()
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9)
    scheduler = LambdaLR(optimizer, lambda step: max(0.0, 1 - step / 80))
    return train(model, optimizer, nn.CrossEntropyLoss(), mnist(3000), after_update=scheduler.step)


@ill("GD405")
def polynomial_for_a_shorter_run():
    """A polynomial decay over 50 updates in a run of 160."""
    model = Gpt()
    optimizer = AdamW(model.parameters(), 3e-3)
    scheduler = PolynomialLR(optimizer, total_iters=50, power=2)
    return train(model, optimizer, letter_loss, lines(1024), epochs=10, after_update=scheduler.step)


@ill("GD405")
def cosine_of_ten_epochs_in_twenty_five():
    """A cosine over ten epochs in a run of 25: the rate rises again."""
    model = mlp(64, 64, 10)
    optimizer = SGD(model.parameters(), 0.2)
    scheduler = CosineAnnealingLR(optimizer, T_max=10)
    return train(
        model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=25, after_epoch=scheduler.step
    )


@ill("GD406")
def cosine_copied_from_a_long_run():
    """A cosine over 10,000 updates in a run of 200."""
    model = Gpt()
    optimizer = AdamW(model.parameters(), 3e-3)
    scheduler = CosineAnnealingLR(optimizer, T_max=10_000)
    return train(model, optimizer, letter_loss, lines(1024), epochs=10, after_update=scheduler.step)


@ill("GD406")
def warm_up_that_never_ends():
    """A linear warm-up over 4,000 updates in a run of 235."""
    model = mlp(784, 128, 10)
    optimizer = AdamW(model.parameters(), 2e-3)
    scheduler = LinearLR(optimizer, start_factor=0.001, total_iters=4000)
    return train(
        model, optimizer, nn.CrossEntropyLoss(), flat_mnist(3000), after_update=scheduler.step
    )


@ill("GD406")
def one_cycle_of_forty_epochs():
    """A one-cycle over forty epochs, of which eight are trained."""
    model = mlp(64, 64, 10)
    optimizer = SGD(model.parameters(), 0.1, momentum=0.9)
    scheduler = OneCycleLR(optimizer, max_lr=0.3, epochs=40, steps_per_epoch=29)
    return train(
        model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8, after_update=scheduler.step
    )


@ill("GD407")
def warm_up_from_the_full_rate():
    """A transformer's warm-up begins at a factor of 1, so that nothing is warmed up."""
    model = Gpt(dropout=0.1)
    optimizer = AdamW(model.parameters(), 3e-3)
    warm = LinearLR(optimizer, start_factor=1.0, total_iters=50)
    cosine = CosineAnnealingLR(optimizer, T_max=110)
    scheduler = SequentialLR(optimizer, [warm, cosine], milestones=[50])
    return train(model, optimizer, letter_loss, lines(1024), epochs=10, after_update=scheduler.step)


@ill("GD407", "GD202", "GD203")
def deep_transformer_at_once():
    """Eight blocks, normalized behind each part, by Adam at a constant 5e-3 from the start."""
    model = Gpt(layers=8, norm_first=False)
    return train(model, Adam(model.parameters(), 5e-3), letter_loss, lines(512), epochs=6)


@ill("GD408", "GD405")
def steps_of_epochs_taken_by_updates():
    """A rate that is to fall every fifth epoch falls every fifth update."""
    model = convnet()
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9)
    scheduler = StepLR(optimizer, step_size=5, gamma=0.5)
    return train(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        mnist(2000),
        epochs=10,
        after_update=scheduler.step,
    )


@ill("GD408")
def scheduler_made_and_forgotten():
    """A cosine is made and never stepped."""
    model = mlp(784, 128, 10)
    optimizer = SGD(model.parameters(), 0.1)
    scheduler = CosineAnnealingLR(optimizer, T_max=8)
    watch = train(model, optimizer, nn.CrossEntropyLoss(), flat_mnist(), epochs=8)
    return watch, scheduler


@ill("GD408")
def scheduler_before_the_optimizer():
    """The scheduler is stepped before the optimizer in every update."""
    model = mlp(64, 64, 10)
    images, classes = digits()
    optimizer = SGD(model.parameters(), 0.3)
    scheduler = CosineAnnealingLR(optimizer, T_max=8 * 29)
    loss_fn = nn.CrossEntropyLoss()
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(8):
            for rows in torch.randperm(1797).split(64):
                scheduler.step()
                optimizer.zero_grad()
                loss_fn(model(images[rows]), classes[rows]).backward()
                optimizer.step()
    return watch


@ill("GD408", "GD405")
def restarts_every_fifth_update():
    """Warm restarts every fifth epoch are stepped by updates."""
    model = mlp(2, 32, 32, 2, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), 0.2, momentum=0.9)
    scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=5)
    return train(
        model, optimizer, nn.CrossEntropyLoss(), moons(), epochs=20, after_update=scheduler.step
    )


def epochs_in_eval(model, optimizer, loss_fn, data, epochs, batch=64):
    """A loop that has no model.train()."""
    inputs, targets = data
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(epochs):
            for rows in torch.randperm(len(inputs)).split(batch):
                optimizer.zero_grad()
                loss_fn(model(inputs[rows]), targets[rows]).backward()
                optimizer.step()
            validate(model, loss_fn, (inputs[:200], targets[:200]))
    return watch


@ill("GD409")
def evaluated_once_and_never_back():
    """The loop evaluates after the first epoch and stays in eval mode: dropout and batch norm."""
    model = convnet(3, 32, norm=True, dropout=0.3)
    return epochs_in_eval(
        model, Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss(), cifar(), epochs=4
    )


@ill("GD409")
def transformer_loaded_in_eval():
    """A transformer with dropout was put into eval mode when it was loaded, and is trained so."""
    model = Gpt(dropout=0.2).eval()
    return epochs_in_eval(model, AdamW(model.parameters(), 2e-3), letter_loss, lines(512), epochs=5)


@ill("GD410")
def forgotten_zero_grad():
    """The loop of a perceptron on a curve has no zero_grad; a constant small rate by Adam."""
    model = mlp(1, 32, 32, 1, activation=nn.Tanh)
    inputs, targets = sines()
    optimizer, loss_fn = Adam(model.parameters(), 1e-3), nn.MSELoss()
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(40):
            for rows in torch.randperm(1024).split(64):
                loss_fn(model(inputs[rows]), targets[rows]).backward()
                optimizer.step()
    return watch


@ill("GD410")
def zero_grad_of_the_other_optimizer():
    """The loop clears the gradients of another model's optimizer: a generator's, not its own."""
    images, classes = mnist(3000)
    model, other = convnet(), mlp(4, 4)
    optimizer, mistaken = SGD(model.parameters(), 0.01), SGD(other.parameters(), 0.01)
    loss_fn = nn.CrossEntropyLoss()
    with thalweg.watch(model, optimizer, loss_fn) as watch:
        for _ in range(4):
            for rows in torch.randperm(3000).split(64):
                mistaken.zero_grad()
                loss_fn(model(images[rows]), classes[rows]).backward()
                optimizer.step()
    return watch
