"""Trainings whose arithmetic goes wrong."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW, RMSprop

from fresh.data import diabetes, digits, flat_mnist, letter_loss, lines, mnist, moons, sentences
from fresh.loop import train
from fresh.models import Gpt, Speller, Words, convnet, mlp
from fresh.registry import ill


@ill("GD101")
def an_empty_sentence():
    """One sentence of 1,500 has no words, so that the mean over its words divides by zero."""
    text, classes = sentences()
    text = text.clone()
    text[700] = 0
    model = Words()
    return train(model, Adam(model.parameters(), 1e-2), nn.CrossEntropyLoss(), (text, classes))


@ill("GD101")
def the_logarithm_of_nothing():
    """The targets are logarithms of amounts, some of which are zero."""
    features, targets = diabetes()
    amounts = (targets * 50 + 60).clamp(min=0)
    model = mlp(10, 32, 1)
    return train(
        model, Adam(model.parameters(), 1e-3), nn.MSELoss(), (features, amounts.log()), epochs=20
    )


class MaskedAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(60, 24)
        self.attention = nn.MultiheadAttention(24, 2, batch_first=True)
        self.head = nn.Linear(24, 2)

    def forward(self, text):
        hidden = self.embedding(text)
        hidden, _ = self.attention(hidden, hidden, hidden, key_padding_mask=text == 0)
        return self.head(hidden.mean(1))


@ill("GD101")
def attention_to_nothing_but_padding():
    """Attention over a sentence that is all padding is a softmax without entries."""
    text, classes = sentences()
    text = text.clone()
    text[[100, 900]] = 0
    model = MaskedAttention()
    return train(model, Adam(model.parameters(), 3e-3), nn.CrossEntropyLoss(), (text, classes))


class Standardised(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        centred = values - values.mean(1, keepdim=True)
        spread = (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        ctx.save_for_backward(spread)
        return centred / spread

    @staticmethod
    def backward(ctx, slope):
        return slope / ctx.saved_tensors[0]


class OwnNorm(nn.Module):
    def forward(self, values):
        return Standardised.apply(values)


@ill("GD102")
def own_norm_takes_its_moments_as_constants():
    """A normalization of one's own whose backward forgets that mean and spread depend on inputs."""
    model = nn.Sequential(nn.Linear(64, 48), OwnNorm(), nn.ReLU(), nn.Linear(48, 10))
    return train(model, Adam(model.parameters(), 2e-3), nn.CrossEntropyLoss(), digits(), epochs=8)


class MeanSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, outputs, targets):
        ctx.save_for_backward(outputs, targets)
        return (outputs - targets).square().mean()

    @staticmethod
    def backward(ctx, slope):
        outputs, targets = ctx.saved_tensors
        return slope * (outputs - targets) * targets.abs(), None


@ill("GD102")
def own_loss_with_another_slope():
    """A loss of one's own whose backward belongs to another formula."""
    model = mlp(10, 32, 1, activation=nn.Tanh)
    return train(model, Adam(model.parameters(), 2e-3), MeanSquare.apply, diabetes(), epochs=30)


class Squash(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return values * torch.sigmoid(values)

    @staticmethod
    def backward(ctx, slope):
        (values,) = ctx.saved_tensors
        gate = torch.sigmoid(values)
        return slope * gate * (1 - gate)


class Swish(nn.Module):
    def forward(self, values):
        return Squash.apply(values)


@ill("GD102")
def own_swish_with_the_slope_of_a_sigmoid():
    """A swish of one's own in a convolutional network, with the sigmoid's backward."""
    model = convnet()
    model[1], model[4] = Swish(), Swish()
    return train(
        model, SGD(model.parameters(), 0.05, momentum=0.9), nn.CrossEntropyLoss(), mnist(2000)
    )


@ill("GD103")
def loss_divided_by_everything():
    """The squared error of images is divided by batch, pixels and the size of the data set."""
    images, _ = flat_mnist(3000)
    model = mlp(784, 64, 784)

    def loss_fn(outputs, targets):
        return (outputs - targets).square().sum() / (targets.numel() * 60_000 * 100)

    return train(model, Adam(model.parameters(), 1e-3), loss_fn, (images, images))


@ill("GD103")
def eps_of_one_in_spelling():
    """Adam's eps is 1, as a recipe for another network had it."""
    model = Speller()
    return train(model, Adam(model.parameters(), 1e-3, eps=1.0), letter_loss, lines(1024), epochs=3)


@ill("GD103")
def half_precision_rmsprop():
    """A perceptron in float16 is trained by RMSprop, whose eps of 1e-8 is then zero."""
    pixels, classes = digits()
    model = mlp(64, 64, 10).half()
    return train(
        model, RMSprop(model.parameters(), 1e-3), nn.CrossEntropyLoss(), (pixels.half(), classes)
    )


@ill("GD104")
def spelling_in_bfloat16():
    """A small transformer in bfloat16 takes steps of 1e-5 by AdamW: most are rounded away."""
    model = Gpt().bfloat16()
    return train(
        model,
        AdamW(model.parameters(), 1e-5),
        lambda scores, targets: letter_loss(scores.float(), targets),
        lines(512),
        epochs=4,
    )


@ill("GD104")
def images_in_bfloat16():
    """A convolutional network in bfloat16 is trained by SGD at 1e-4."""
    images, classes = mnist(2000)
    model = convnet().bfloat16()
    return train(
        model, SGD(model.parameters(), 1e-4), nn.CrossEntropyLoss(), (images.bfloat16(), classes)
    )


@ill("GD104")
def moons_in_half_precision():
    """A perceptron in float16 is trained by SGD at 1e-5, its loss computed in float32."""
    points, classes = moons()
    model = mlp(2, 64, 64, 2).half()
    return train(
        model,
        SGD(model.parameters(), 1e-5),
        lambda scores, targets: F.cross_entropy(scores.float(), targets),
        (points.half(), classes),
        epochs=20,
    )
