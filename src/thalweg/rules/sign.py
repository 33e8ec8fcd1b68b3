"""Rules that look at the sign of the gradient and learn how far to go from its changes."""

import math

from thalweg.algebra import clip, cos, ema, from_hyper, maximum, minimum, sign, where
from thalweg.rules.ranges import (
    AdaptiveRate,
    Beta,
    Count,
    GradientRate,
    Grow,
    Positive,
    Shrink,
    SignRate,
)
from thalweg.rules.rule import rule


@rule(
    "Rprop",
    paper="Riedmiller & Braun 1993; iRprop- of Igel & Huesken 2000",
    differences=(
        "This is iRprop-, as in torch: after a change of sign the gradient counts as zero. The "
        "original of 1993 takes the last step back instead.",
    ),
)
def rprop(
    g, prev=0, step_size=from_hyper("lr"), *,
    lr: AdaptiveRate = 1e-2, etaminus: Shrink = 0.5, etaplus: Grow = 1.2,
    step_size_min: Positive = 1e-6, step_size_max: Positive = 50.0,
):  # fmt: skip
    """Grow a coordinate's step while its gradient keeps its sign, halve it when the sign turns."""
    agreement = g * prev
    factor = where(agreement > 0, etaplus, where(agreement < 0, etaminus, 1))
    s = clip(step_size * factor, step_size_min, step_size_max)
    q = where(agreement < 0, 0, g)
    return sign(q) * s, q, s


@rule("Lion", paper="Chen et al. 2023, Symbolic discovery of optimization algorithms",
      arxiv="2302.06675")  # fmt: skip
def lion(g, exp_avg=0, *, lr: SignRate = 1e-4, beta1: Beta = 0.9, beta2: Beta = 0.99):
    """Step by the sign of a momentum that leans more on the newest gradient than it keeps of it."""
    c = ema(g, exp_avg, beta1)
    m = ema(g, exp_avg, beta2)
    return lr * sign(c), m


_BELLO = "Bello, Zoph, Vasudevan & Le 2017, Neural optimizer search with reinforcement learning"
_DECAYED = (
    "The share f of the sign counts updates from zero, so that it is 1 at the first; past "
    "decay_steps it holds its last value.",
)
_REPEATED = (
    "The share f of the sign counts updates from zero, so that it is 1 at the first, and starts "
    "again whenever a period is over.",
)


def _agreement(g, m):
    return sign(g) * sign(m)


def _linear(t, decay_steps):
    return maximum(1 - (t - 1) / decay_steps, 0)


def _cosine(t, decay_steps, periods):
    return 0.5 * (1 + cos(math.pi * (2 * periods * minimum(t - 1, decay_steps) / decay_steps)))


def _restart(t, decay_steps, periods):
    return 0.5 * (1 + cos(math.pi * (periods * (t - 1) % decay_steps / decay_steps)))


@rule("PowerSign", paper=_BELLO, arxiv="1709.07417")
def powersign(g, exp_avg=0, *, lr: GradientRate = 0.1, beta: Beta = 0.9, alpha: Positive = math.e):
    """Multiply the step by alpha where gradient and momentum agree, divide it where they do not."""
    m = ema(g, exp_avg, beta)
    return lr * alpha ** _agreement(g, m) * g, m


@rule("PowerSign, linear decay", paper=_BELLO, arxiv="1709.07417", differences=_DECAYED)
def powersign_linear(
    g, exp_avg=0, *, t, lr: GradientRate = 0.1, beta: Beta = 0.9, alpha: Positive = math.e,
    decay_steps: Count = 10_000.0,
):  # fmt: skip
    """PowerSign that becomes plain descent: the exponent shrinks to zero along a line."""
    f = _linear(t, decay_steps)
    m = ema(g, exp_avg, beta)
    return lr * alpha ** (f * _agreement(g, m)) * g, m


@rule("PowerSign, cosine decay", paper=_BELLO, arxiv="1709.07417", differences=_DECAYED)
def powersign_cosine(
    g, exp_avg=0, *, t, lr: GradientRate = 0.1, beta: Beta = 0.9, alpha: Positive = math.e,
    decay_steps: Count = 10_000.0, periods: Positive = 0.5,
):  # fmt: skip
    """PowerSign whose exponent follows a cosine: half a period ends in plain descent."""
    f = _cosine(t, decay_steps, periods)
    m = ema(g, exp_avg, beta)
    return lr * alpha ** (f * _agreement(g, m)) * g, m


@rule("PowerSign, restarts", paper=_BELLO, arxiv="1709.07417", differences=_REPEATED)
def powersign_restart(
    g, exp_avg=0, *, t, lr: GradientRate = 0.1, beta: Beta = 0.9, alpha: Positive = math.e,
    decay_steps: Count = 10_000.0, periods: Positive = 1.0,
):  # fmt: skip
    """PowerSign whose exponent falls along half a cosine and starts again, period after period."""
    f = _restart(t, decay_steps, periods)
    m = ema(g, exp_avg, beta)
    return lr * alpha ** (f * _agreement(g, m)) * g, m


@rule("AddSign", paper=_BELLO, arxiv="1709.07417")
def addsign(g, exp_avg=0, *, lr: GradientRate = 0.1, beta: Beta = 0.9, alpha: Positive = 1.0):
    """Step twice as far where gradient and momentum agree, and not at all where they do not."""
    m = ema(g, exp_avg, beta)
    return lr * (alpha + _agreement(g, m)) * g, m


@rule("AddSign, linear decay", paper=_BELLO, arxiv="1709.07417", differences=_DECAYED)
def addsign_linear(
    g, exp_avg=0, *, t, lr: GradientRate = 0.1, beta: Beta = 0.9, alpha: Positive = 1.0,
    decay_steps: Count = 10_000.0,
):  # fmt: skip
    """AddSign that becomes plain descent: the sign's share shrinks to zero along a line."""
    f = _linear(t, decay_steps)
    m = ema(g, exp_avg, beta)
    return lr * (alpha + f * _agreement(g, m)) * g, m


@rule("AddSign, cosine decay", paper=_BELLO, arxiv="1709.07417", differences=_DECAYED)
def addsign_cosine(
    g, exp_avg=0, *, t, lr: GradientRate = 0.1, beta: Beta = 0.9, alpha: Positive = 1.0,
    decay_steps: Count = 10_000.0, periods: Positive = 0.5,
):  # fmt: skip
    """AddSign whose sign's share follows a cosine: half a period ends in plain descent."""
    f = _cosine(t, decay_steps, periods)
    m = ema(g, exp_avg, beta)
    return lr * (alpha + f * _agreement(g, m)) * g, m


@rule("AddSign, restarts", paper=_BELLO, arxiv="1709.07417", differences=_REPEATED)
def addsign_restart(
    g, exp_avg=0, *, t, lr: GradientRate = 0.1, beta: Beta = 0.9, alpha: Positive = 1.0,
    decay_steps: Count = 10_000.0, periods: Positive = 1.0,
):  # fmt: skip
    """AddSign whose sign's share falls along half a cosine and starts again, period by period."""
    f = _restart(t, decay_steps, periods)
    m = ema(g, exp_avg, beta)
    return lr * (alpha + f * _agreement(g, m)) * g, m
