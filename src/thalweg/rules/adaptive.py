"""Rules that divide each coordinate's step by the size its gradients have had."""

from thalweg.algebra import ema, from_hyper, maximum, sqrt
from thalweg.rules.chain import chain
from thalweg.rules.ranges import (
    AdaptiveRate,
    Epsilon,
    Fraction,
    Momentum,
    MomentumRate,
    NonNegative,
    RatioRate,
)
from thalweg.rules.rule import rule


@rule(
    "Adagrad",
    paper="Duchi, Hazan & Singer 2011, Adaptive subgradient methods",
    differences=(
        "The accumulator starts at 0 and eps = 1e-10 stands outside the root, as in torch; optax "
        "and Keras start at 0.1 with eps = 1e-7 inside the root.",
    ),
)
def adagrad(
    g, sum=from_hyper("initial_accumulator_value"), *, t,
    lr: MomentumRate = 1e-2, lr_decay: NonNegative = 0.0,
    initial_accumulator_value: NonNegative = 0.0, eps: Epsilon = 1e-10,
):  # fmt: skip
    """Divide by the root of the sum of squared gradients: rare features keep large steps."""
    G = sum + g * g
    return lr / (1 + (t - 1) * lr_decay) * g / (sqrt(G) + eps), G


@rule(
    "Adagrad, eps inside the root",
    paper="Duchi, Hazan & Singer 2011, Adaptive subgradient methods",
    differences=("This is the form and these are the defaults of optax and Keras.",),
)
def adagrad_optax(
    g, sum=from_hyper("initial_accumulator_value"), *,
    lr: MomentumRate = 1e-2, initial_accumulator_value: NonNegative = 0.1, eps: Epsilon = 1e-7,
):  # fmt: skip
    """Adagrad as optax and Keras have it: eps inside the root, the sum begun above zero."""
    G = sum + g * g
    return lr * g / sqrt(G + eps), G


adagrad_keras = chain(adagrad_optax, key="adagrad_keras", name="Adagrad, Keras's defaults",
                      defaults={"lr": 1e-3})  # fmt: skip


@rule(
    "Adadelta",
    paper="Zeiler 2012, ADADELTA: an adaptive learning rate method",
    arxiv="1212.5701",
    differences=(
        "The paper has no learning rate; torch and this rule multiply its step by lr = 1. "
        "Keras defaults to lr = 0.001, a thousand times slower.",
    ),
)
def adadelta(
    g, square_avg=0, acc_delta=0, *,
    lr: RatioRate = 1.0, rho: Fraction = 0.9, eps: Epsilon = 1e-6,
):  # fmt: skip
    """Scale each step by the recent size of steps over the recent size of gradients."""
    s = ema(g * g, square_avg, rho)
    delta = sqrt(acc_delta + eps) / sqrt(s + eps) * g
    u = ema(delta * delta, acc_delta, rho)
    return lr * delta, s, u


adadelta_paper = chain(adadelta, key="adadelta_paper", name="Adadelta, the paper's defaults",
                       defaults={"rho": 0.95})  # fmt: skip
adadelta_keras = chain(adadelta, key="adadelta_keras", name="Adadelta, Keras's defaults",
                       defaults={"lr": 1e-3, "rho": 0.95, "eps": 1e-7})  # fmt: skip


_RMSPROP = (
    "eps stands outside the root, as in torch; optax and Keras put it inside, which matters where "
    "gradients are not much larger than its root.",
    "alpha = 0.99 and lr = 0.01, as in torch; the lecture has 0.9 and 0.001.",
)
_CENTERED = (
    "The variance is clamped at zero: under equal gradients torch's can round below it, and the "
    "step becomes NaN. The clamp does not stop the step from growing while all gradients agree.",
)


@rule("RMSprop", paper="Tieleman & Hinton 2012, lecture 6e", differences=_RMSPROP)
def rmsprop(
    g, square_avg=0, *, lr: AdaptiveRate = 1e-2, alpha: Fraction = 0.99, eps: Epsilon = 1e-8
):
    """Divide by the root of a running mean of squared gradients."""
    s = ema(g * g, square_avg, alpha)
    return lr * (g / (sqrt(s) + eps)), s


@rule(
    "RMSprop, eps inside the root", paper="Tieleman & Hinton 2012, lecture 6e",
    differences=("This is the lecture's form, and that of optax and Keras 3.",),
)  # fmt: skip
def rmsprop_paper(
    g, square_avg=0, *, lr: AdaptiveRate = 1e-3, alpha: Fraction = 0.9, eps: Epsilon = 1e-8
):
    """RMSprop as the lecture has it: eps inside the root, a shorter memory."""
    s = ema(g * g, square_avg, alpha)
    return lr * g / sqrt(s + eps), s


rmsprop_keras = chain(rmsprop_paper, key="rmsprop_keras", name="RMSprop, Keras's defaults",
                      defaults={"eps": 1e-7})  # fmt: skip


@rule("RMSprop with momentum", paper="Tieleman & Hinton 2012, lecture 6e", differences=_RMSPROP)
def rmsprop_momentum(
    g, square_avg=0, momentum_buffer=0, *,
    lr: AdaptiveRate = 1e-2, alpha: Fraction = 0.99, eps: Epsilon = 1e-8, momentum: Momentum = 0.9,
):  # fmt: skip
    """RMSprop whose normalized gradients are summed with decay before the step."""
    s = ema(g * g, square_avg, alpha)
    b = momentum * momentum_buffer + g / (sqrt(s) + eps)
    return lr * b, s, b


def _variance(g, square_avg, grad_avg, alpha):
    s = ema(g * g, square_avg, alpha)
    a = ema(g, grad_avg, alpha)
    return s, a, maximum(s - a * a, 0)


@rule(
    "Centered RMSprop", paper="Graves 2013, Generating sequences with recurrent neural networks",
    arxiv="1308.0850", differences=_RMSPROP + _CENTERED,
)  # fmt: skip
def rmsprop_centered(
    g, square_avg=0, grad_avg=0, *,
    lr: AdaptiveRate = 1e-2, alpha: Fraction = 0.99, eps: Epsilon = 1e-8,
):  # fmt: skip
    """RMSprop divided by the standard deviation of the gradients instead of their size."""
    s, a, variance = _variance(g, square_avg, grad_avg, alpha)
    return lr * (g / (sqrt(variance) + eps)), s, a


@rule(
    "Centered RMSprop with momentum",
    paper="Graves 2013, Generating sequences with recurrent neural networks",
    arxiv="1308.0850", differences=_RMSPROP + _CENTERED,
)  # fmt: skip
def rmsprop_centered_momentum(
    g, square_avg=0, momentum_buffer=0, grad_avg=0, *,
    lr: AdaptiveRate = 1e-2, alpha: Fraction = 0.99, eps: Epsilon = 1e-8, momentum: Momentum = 0.9,
):  # fmt: skip
    """Centered RMSprop whose normalized gradients are summed with decay before the step."""
    s, a, variance = _variance(g, square_avg, grad_avg, alpha)
    b = momentum * momentum_buffer + g / (sqrt(variance) + eps)
    return lr * b, s, b, a
