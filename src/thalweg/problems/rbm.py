"""Digits for a restricted Boltzmann machine, whose gradient does not come from autograd."""

import math

from thalweg.problems.digits import pixels
from thalweg.problems.problem import Problem, Split
from thalweg.problems.seeded import seeded

_VISIBLE, _HIDDEN = 64, 32


def load() -> Problem:
    """Return the digits' pixels as inputs and targets, for a machine of 64 and 32 units and CD-1.

    A pixel from 0 to 1 stands for the probability that a visible unit is on. For more steps or
    persistent chains, replace ``loss`` by another ContrastiveDivergence.
    """
    from thalweg.problems.boltzmann import Boltzmann, ContrastiveDivergence

    train, validation, test = (Split(part.inputs, part.inputs) for part in pixels())
    return Problem(
        name="rbm",
        description="Handwritten digits, 8 x 8 pixels; restricted Boltzmann machine 64-32, CD-1",
        make_model=seeded(lambda: Boltzmann(_VISIBLE, _HIDDEN)),
        train=train,
        validation=validation,
        test=test,
        loss=ContrastiveDivergence(),
        batch_size=32,
        epochs=20,
        known={
            "parameters": _VISIBLE * _HIDDEN + _VISIBLE + _HIDDEN,
            "guess_loss": math.log(2),
        },
        threads=1,
    )
