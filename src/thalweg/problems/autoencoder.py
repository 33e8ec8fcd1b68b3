"""An autoencoder squeezes 8 x 8 digits through eight numbers and learns to draw them again."""

from __future__ import annotations

import math

from thalweg.problems.digits import pixels
from thalweg.problems.perceptron import known, perceptron
from thalweg.problems.problem import Problem, Split

_WIDTHS = (64, 32, 8, 32, 64)


def load() -> Problem:
    """Return the digits with their pixels, from 0 to 1, as inputs and as targets.

    The loss is the cross-entropy of each pixel in nats; the output holds its logits. Source: Hinton
    and Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    train, validation, test = (Split(part.inputs, part.inputs) for part in pixels())
    return Problem(
        name="autoencoder",
        description="Handwritten digits, 8 x 8 pixels; autoencoder 64-32-8-32-64 with ReLU",
        make_model=perceptron(*_WIDTHS),
        train=train,
        validation=validation,
        test=test,
        loss=binary_cross_entropy_with_logits,
        batch_size=32,
        epochs=20,
        known={"parameters": known(*_WIDTHS)["parameters"], "guess_loss": math.log(2)},
        threads=1,
    )
