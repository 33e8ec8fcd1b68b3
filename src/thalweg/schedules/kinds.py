"""Schedules, in order of increasing complexity; each is its formula in the index k of an update."""

from math import pi

from thalweg.algebra import cos, floor, log, maximum, minimum, where
from thalweg.errors import BadValue
from thalweg.schedules.schedule import schedule


@schedule()
def constant(k, value):
    """Stay at one value."""
    return value


@schedule()
def linear(k, start, end, *, steps):
    """Go from one value to another along a line."""
    return start + (end - start) * (k / maximum(steps - 1, 1))


@schedule()
def warmup(k, steps):
    """Rise from 1 / steps to 1 along a line: a share, to be put in front of another schedule."""
    return (k + 1) / steps


@schedule()
def step_decay(k, value, *, every, factor=0.5):
    """Multiply by a factor after every so many updates."""
    return value * factor ** floor(k / every)


@schedule()
def piecewise(k, values, *, at):
    """Take one value after the other, each from its index on; the first one from the beginning."""
    if len(values) != len(at) + 1 or sorted(set(at)) != at:
        raise BadValue(
            f"piecewise: {len(values)} values at {at}; expected one index fewer than values, in "
            "increasing order."
        )
    found = values[0]
    for value, index in zip(values[1:], at, strict=True):
        found = where(k < index, found, value)
    return found


@schedule()
def exponential(k, value, *, factor):
    """Multiply by a factor after every update."""
    return value * factor**k


@schedule()
def inverse_time(k, value, *, rate):
    """Fall like 1 / t, the classical condition of stochastic approximation."""
    return value / (1 + rate * k)


@schedule()
def polynomial(k, value, *, steps, power=1.0, end=0.0):
    """Fall to an end value along a power of the time that is left."""
    return end + (value - end) * (1 - k / maximum(steps - 1, 1)) ** power


@schedule("Vaswani et al. 2017, Attention is all you need, section 5.3")
def vaswani(k, d_model, *, warmup=4000):
    """Rise along a line, then fall with the root of the time; d_model is the model's width."""
    t = k + 1
    return d_model**-0.5 * minimum(t**-0.5, t * warmup**-1.5)


@schedule("Loshchilov & Hutter 2017, SGDR, without restarts")
def cosine(k, value, *, steps, floor=0.0):
    """Fall along half a cosine; the last update uses the floor exactly."""
    return floor + 0.5 * (value - floor) * (1 + cos(pi * (k / maximum(steps - 1, 1))))


def _cycle(k, first, factor):
    """Return how far k is in its cycle, and how long that is; whole numbers stay exact."""
    if factor == 1:
        return k % first, first

    def begins(i):
        return first * (factor**i - 1) / (factor - 1)

    guess = floor(log(k / first * (factor - 1) + 1) / log(factor))
    i = where(k < begins(guess), guess - 1, where(k >= begins(guess + 1), guess + 1, guess))
    return k - begins(i), first * factor**i


@schedule("Loshchilov & Hutter 2017, SGDR: stochastic gradient descent with warm restarts")
def warm_restarts(k, value, *, first, factor=2.0, floor=0.0):
    """Fall along half a cosine again and again, each cycle longer by a factor than the last."""
    if factor < 1:
        raise BadValue(
            f"warm_restarts: factor={factor!r}; cycles cannot get shorter, so at least 1."
        )
    done, length = _cycle(k, first, factor)
    return floor + 0.5 * (value - floor) * (1 + cos(pi * (done / length)))


@schedule("Smith 2017, Cyclical learning rates for training neural networks")
def triangular(k, low, high, *, half):
    """Go up and down between two values along lines, each way in half a cycle."""
    return low + (high - low) * _triangle(k, half)


@schedule("Smith 2017, Cyclical learning rates for training neural networks")
def triangular2(k, low, high, *, half):
    """Triangular, the height of every cycle half that of the last."""
    return low + (high - low) * _triangle(k, half) / 2 ** floor(k / (2 * half))


@schedule("Smith 2017, Cyclical learning rates for training neural networks")
def exp_range(k, low, high, *, half, factor=0.99994):
    """Triangular, its height multiplied by a factor after every update."""
    return low + (high - low) * _triangle(k, half) * factor**k


def _triangle(k, half):
    return 1 - abs(k % (2 * half) / half - 1)


@schedule("Smith & Topin 2019, Super-convergence")
def one_cycle(k, value, *, steps, rise=0.3, start_div=25.0, end_div=1e4):
    """Rise along half a cosine from value / start_div, then fall to that over end_div."""
    if not 0 < rise < 1:
        raise BadValue(f"one_cycle: rise={rise!r} is a share of the steps, between 0 and 1.")
    peak = maximum(rise * steps - 1, 1)
    low = value / start_div
    up = low + (value - low) * 0.5 * (1 - cos(pi * (k / peak)))
    rest = (k - peak) / maximum(steps - 1 - peak, 1)
    end = low / end_div
    return where(k < peak, up, end + (value - end) * 0.5 * (1 + cos(pi * rest)))


@schedule("Zhai et al. 2022; Hu et al. 2024, MiniCPM")
def warmup_stable_decay(k, value, *, steps, warmup, stable):
    """Rise along a line, stay, and fall to zero along a line in the steps that are left."""
    if warmup + stable >= steps:
        raise BadValue(
            f"warmup_stable_decay: warmup={warmup} and stable={stable} leave none of {steps} steps "
            "for the decay."
        )
    rising = value * (k + 1) / warmup
    falling = value * (steps - 1 - k) / (steps - warmup - stable)
    return where(k < warmup, rising, where(k < warmup + stable, value, falling))


@schedule("Huang et al. 2017, Snapshot ensembles: train 1, get M for free")
def snapshot_cosine(k, value, *, steps, cycles):
    """Restart a cosine so many times in the run: a snapshot is taken at the end of each."""
    if cycles > steps:
        raise BadValue(f"snapshot_cosine: {cycles} cycles in {steps} steps; expected fewer.")
    length = -(-steps // cycles)
    return 0.5 * value * (cos(pi * (k % length / length)) + 1)
