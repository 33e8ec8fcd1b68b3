"""Faulty numbers: what is not finite, slopes that are none, and precision that is too low."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import Function

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
    measurements,
    mlp,
    raw_digits,
    text,
    transformer,
)
from .run import faulty


@faulty("GD101")
def mlp_targets_in_their_own_unit() -> Diagnosis:
    """A perceptron with SGD at 0.1 is fitted to targets of up to 346 under the squared error."""
    inputs, targets = measurements()[0]
    examples = Split(inputs, 77 * targets + 152)
    model = mlp(10, 32, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(model, optimizer, Batches(examples), 5, nn.MSELoss())


class Standardised(nn.Module):
    """Divides each feature by its spread over the batch, which may be zero."""

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - inputs.mean(0)) / inputs.std(0)


@faulty("GD101")
def mlp_divides_by_a_spread_of_zero() -> Diagnosis:
    """The model standardises each pixel over the batch; in the corners all pixels are black."""
    model = nn.Sequential(Standardised(), *mlp())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(raw_digits()[0]), 3)


@faulty("GD101")
def cnn_missing_pixel() -> Diagnosis:
    """One image of 1,077 has a pixel that is not a number."""
    inputs, targets = images()[0]
    inputs = inputs.clone()
    inputs[700, 0, 3, 4] = torch.nan
    model = cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(model, optimizer, Batches(Split(inputs, targets)), 3)


@faulty("GD101")
def lstm_slope_of_a_root_at_zero() -> Diagnosis:
    """A penalty on the distance of neighbouring letters takes the root of zero where they agree."""
    model = lstm()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    with watch(model, optimizer) as watching:
        for _ in range(3):
            for letters, targets in Batches(text()[0]):
                optimizer.zero_grad()
                vectors = model.embedding(letters)
                distances = (vectors[:, 1:] - vectors[:, :-1]).pow(2).sum(-1).sqrt()
                loss = cross_entropy(model(letters), targets) + 1e-3 * distances.mean()
                loss.backward()
                optimizer.step()
    return watching.diagnosis


class Swish(Function):
    """x · σ(x), whose backward forgets that σ depends on x as well."""

    @staticmethod
    def forward(context, inputs: Tensor) -> Tensor:
        context.save_for_backward(inputs)
        return inputs * inputs.sigmoid()

    @staticmethod
    def backward(context, slope: Tensor) -> Tensor:
        (inputs,) = context.saved_tensors
        return slope * inputs.sigmoid()


class SwishLayer(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return Swish.apply(inputs)


@faulty("GD102")
def mlp_backward_forgets_a_term() -> Diagnosis:
    """An activation of one's own has a backward without the product rule's second term."""
    model = mlp(activation=SwishLayer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(model, optimizer, Batches(digits()[0]), 6)


class Square(Function):
    """x², whose backward forgets the two."""

    @staticmethod
    def forward(context, inputs: Tensor) -> Tensor:
        context.save_for_backward(inputs)
        return inputs * inputs

    @staticmethod
    def backward(context, slope: Tensor) -> Tensor:
        (inputs,) = context.saved_tensors
        return -slope * inputs


class Energy(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return Square.apply(inputs)


@faulty("GD102")
def cnn_backward_with_a_wrong_sign() -> Diagnosis:
    """A layer that squares has a backward of the wrong sign and half the size."""
    model = cnn()
    model[6] = Energy()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(images()[0]), 4)


@faulty("GD103")
def mlp_half_precision_adam() -> Diagnosis:
    """All parameters of a perceptron are float16 and Adam's eps stays at 1e-8, which is zero."""
    model, examples = mlp().half(), digits()[0]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(Split(examples.inputs.half(), examples.targets)), 5)


@faulty("GD103")
def transformer_half_precision_adamw() -> Diagnosis:
    """A transformer is turned into float16 and trained by AdamW as it comes."""
    model = transformer().half()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return train(model, optimizer, Batches(text()[0]), 3, cross_entropy)


@faulty("GD104")
def mlp_bfloat16_small_steps() -> Diagnosis:
    """All parameters of a perceptron are bfloat16; Adam's steps of 1e-4 are rounded away."""
    model, examples = mlp().bfloat16(), digits()[0]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    return train(model, optimizer, Batches(Split(examples.inputs.bfloat16(), examples.targets)))


@faulty("GD104")
def transformer_bfloat16_sgd() -> Diagnosis:
    """A transformer in bfloat16 is trained by SGD with steps far below the spacing of numbers."""
    model = transformer().bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=3e-3)
    return train(model, optimizer, Batches(text()[0]), 3, cross_entropy)
