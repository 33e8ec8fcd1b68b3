"""Rules that move along the gradient, or along a sum of the gradients so far."""

from thalweg.algebra import first_gradient
from thalweg.rules.ranges import GradientRate, Momentum, MomentumRate
from thalweg.rules.rule import rule


@rule("SGD", paper="Robbins & Monro 1951, A stochastic approximation method")
def sgd(g, *, lr: GradientRate = 1e-3):
    """Step against the gradient; batch, stochastic or mini-batch descent by what g averages."""
    return lr * g


@rule(
    "Momentum",
    paper="Sutskever et al. 2013, On the importance of initialization and momentum",
    differences=(
        "The learning rate stands outside the buffer, as in torch; Sutskever's v = mu v - lr g "
        "puts it inside. They differ once the learning rate changes.",
        "The buffer starts as the first gradient, undampened, as in torch; with dampening, a start "
        "from zero would shrink the first steps.",
    ),
)
def momentum(
    g, momentum_buffer=first_gradient, *,
    lr: MomentumRate = 1e-3, momentum: Momentum = 0.9, dampening: float = 0.0,
):  # fmt: skip
    """Step along a decaying sum of gradients: faster where they agree, damped where they swing."""
    b = momentum * momentum_buffer + (1 - dampening) * g
    return lr * b, b


@rule(
    "Nesterov",
    paper="Nesterov 1983; in the form of Sutskever, Martens, Dahl & Hinton 2013",
    differences=(
        "The parameters hold the look-ahead point, as in torch, Keras and optax; Nesterov's own "
        "text keeps the point before it. The two paths agree for constant lr and momentum.",
    ),
)
def nesterov(
    g, momentum_buffer=first_gradient, *,
    lr: MomentumRate = 1e-3, momentum: Momentum = 0.9, dampening: float = 0.0,
):  # fmt: skip
    """Momentum whose step looks one step ahead, so that it brakes before it overshoots."""
    b = momentum * momentum_buffer + (1 - dampening) * g
    return lr * (g + momentum * b), b


_INSIDE = (
    "The learning rate stands inside the buffer, as in Sutskever et al. and Keras, so that a "
    "change of it takes effect as slowly as the buffer forgets; torch has it outside.",
)


@rule(
    "Momentum, lr inside",
    paper="Sutskever et al. 2013, On the importance of initialization and momentum",
    differences=_INSIDE,
)
def momentum_paper(g, momentum_buffer=0, *, lr: MomentumRate = 1e-3, momentum: Momentum = 0.9):
    """Step along a decaying sum of steps: the velocity of a ball that rolls with friction."""
    v = momentum * momentum_buffer + lr * g
    return v, v


@rule(
    "Nesterov, lr inside",
    paper="Nesterov 1983; in the form of Sutskever, Martens, Dahl & Hinton 2013",
    differences=_INSIDE,
)
def nesterov_keras(g, momentum_buffer=0, *, lr: MomentumRate = 1e-3, momentum: Momentum = 0.9):
    """Nesterov with the learning rate inside the velocity, as Keras has it."""
    v = momentum * momentum_buffer + lr * g
    return momentum * v + lr * g, v
