"""Schedules, in order of increasing complexity; each is its formula in the index k of an update."""

from math import pi

from thalweg.algebra import cos, floor, log, maximum, minimum, sqrt, where
from thalweg.errors import BadType, BadValue
from thalweg.schedules.kind import schedule


@schedule(value=0.1)
def constant(k, value):
    """Stay at one value."""
    return value


@schedule(start=0.1, end=0.0, steps=1000)
def linear(k, start, end, *, steps):
    """Go from one value to another along a line."""
    return start + (end - start) * (k / maximum(steps - 1, 1))


@schedule(steps=1000)
def warmup(k, steps):
    """Rise from 1 / steps to 1 along a line: a share, to be put in front of another schedule."""
    return (k + 1) / steps


@schedule(value=0.1, every=300)
def step_decay(k, value, *, every, factor=0.5):
    """Multiply by a factor after every so many updates."""
    return value * factor ** floor(k / every)


def _in_order(values, at):
    if not isinstance(values, list) or not isinstance(at, list):
        raise BadType(f"piecewise: values={values!r} at={at!r}; expected a list of each.")
    if len(values) != len(at) + 1 or sorted(set(at)) != at:
        raise BadValue(
            f"{len(values)} values at {at}; expected one index fewer than values, in "
            "increasing order."
        )


@schedule(check=_in_order, values=[0.1, 0.05, 0.01], at=[300, 600])
def piecewise(k, values, *, at):
    """Take one value after the other, each from its index on; the first one from the beginning."""
    found = values[-1]
    for value, index in zip(values[-2::-1], at[::-1], strict=True):
        found = where(k < index, value, found)
    return found


@schedule(value=0.1, factor=0.995)
def exponential(k, value, *, factor):
    """Multiply by a factor after every update."""
    return value * factor**k


@schedule(value=0.1, rate=0.01)
def inverse_time(k, value, *, rate):
    """Fall like 1 / t, the classical condition of stochastic approximation."""
    return value / (1 + rate * k)


@schedule(value=0.1, steps=1000, power=2.0)
def polynomial(k, value, *, steps, power=1.0, end=0.0):
    """Fall to an end value along a power of the time that is left."""
    return end + (value - end) * (1 - k / maximum(steps - 1, 1)) ** power


@schedule("Vaswani et al. 2017, Attention is all you need, section 5.3", d_model=512, warmup=200)
def vaswani(k, d_model, *, warmup=4000):
    """Rise along a line, then fall with the root of the time; d_model is the model's width."""
    t = k + 1
    return d_model**-0.5 * minimum(t**-0.5, t * warmup**-1.5)


@schedule("Loshchilov & Hutter 2017, SGDR, without restarts", value=0.1, steps=1000)
def cosine(k, value, *, steps, floor=0.0):
    """Fall along half a cosine; the last update uses the floor exactly."""
    return floor + 0.5 * (value - floor) * (1 + cos(pi * (k / maximum(steps - 1, 1))))


def _cycle(k, first, factor):
    """Return how far k is in its cycle, and how long that is; whole numbers stay exact."""

    def begins(i):
        return first * (factor**i - 1) / (factor - 1)

    guess = floor(log(k / first * (factor - 1) + 1) / log(factor))
    later = guess + 1
    i = where(k < begins(guess), guess - 1, where(k >= begins(later), later, guess))
    done = where(factor == 1, k % first, k - begins(i))
    return done, where(factor == 1, first, first * factor**i)


def _lengthening(factor, **_):
    if factor < 1:
        raise BadValue(f"factor={factor!r}; cycles cannot get shorter, so at least 1.")


@schedule(
    "Loshchilov & Hutter 2017, SGDR: stochastic gradient descent with warm restarts",
    check=_lengthening, value=0.1, first=100,
)  # fmt: skip
def warm_restarts(k, value, *, first, factor=2.0, floor=0.0):
    """Fall along half a cosine again and again, each cycle longer by a factor than the last."""
    done, length = _cycle(k, first, factor)
    return floor + 0.5 * (value - floor) * (1 + cos(pi * (done / length)))


@schedule(
    "Loshchilov & Hutter 2019, Decoupled weight decay regularization: normalized weight decay",
    check=_lengthening, value=0.05, batch=128, examples=12_800, first=1,
)  # fmt: skip
def normalized_decay(k, value, *, batch, examples, first, factor=2.0):
    """Weaken weight decay with the root of a restart's updates; first counts epochs of a cycle."""
    per_epoch = -floor(-examples / batch)
    shortest = first * per_epoch
    length = _cycle(k, shortest, factor)[1]
    epochs = length / per_epoch
    return value * sqrt(batch / (examples * epochs))


_SMITH = "Smith 2017, Cyclical learning rates for training neural networks"


@schedule(_SMITH, low=0.01, high=0.1, half=100)
def triangular(k, low, high, *, half):
    """Go up and down between two values along lines, each way in half a cycle."""
    return low + (high - low) * _triangle(k, half)


@schedule(_SMITH, low=0.01, high=0.1, half=100)
def triangular2(k, low, high, *, half):
    """Triangular, the height of every cycle half that of the last."""
    return low + (high - low) * _triangle(k, half) / 2 ** floor(k / (2 * half))


@schedule(_SMITH, low=0.01, high=0.1, half=100, factor=0.998)
def exp_range(k, low, high, *, half, factor=0.99994):
    """Triangular, its height multiplied by a factor after every update."""
    return low + (high - low) * _triangle(k, half) * factor**k


def _triangle(k, half):
    return 1 - abs(k % (2 * half) / half - 1)


def _a_share(rise, **_):
    if not 0 < rise < 1:
        raise BadValue(f"rise={rise!r} is a share of the steps, between 0 and 1.")


@schedule("Smith & Topin 2019, Super-convergence", check=_a_share, value=0.1, steps=1000)
def one_cycle(k, value, *, steps, rise=0.3, start_div=25.0, end_div=1e4):
    """Rise along half a cosine from value / start_div, then fall to that over end_div."""
    peak = maximum(rise * steps - 1, 1)
    low = value / start_div
    up = low + (value - low) * 0.5 * (1 - cos(pi * (k / peak)))
    rest = (k - peak) / maximum(steps - 1 - peak, 1)
    end = low / end_div
    return where(k < peak, up, end + (value - end) * 0.5 * (1 + cos(pi * rest)))


def _room_to_decay(steps, warmup, stable, **_):
    if warmup + stable >= steps:
        raise BadValue(
            f"warmup={warmup} and stable={stable} leave none of {steps} steps for the decay."
        )


@schedule(
    "Zhai et al. 2022; Hu et al. 2024, MiniCPM",
    check=_room_to_decay, value=0.1, steps=1000, warmup=100, stable=600,
)  # fmt: skip
def warmup_stable_decay(k, value, *, steps, warmup, stable):
    """Rise along a line, stay, and fall to zero along a line in the steps that are left."""
    rising = value * (k + 1) / warmup
    falling = value * (steps - 1 - k) / (steps - warmup - stable)
    return where(k < warmup, rising, where(k < warmup + stable, value, falling))


def _a_step_per_cycle(steps, cycles, **_):
    if cycles > steps:
        raise BadValue(f"{cycles} cycles in {steps} steps; expected fewer.")


@schedule(
    "Huang et al. 2017, Snapshot ensembles: train 1, get M for free",
    check=_a_step_per_cycle, value=0.1, steps=1000, cycles=5,
)  # fmt: skip
def snapshot_cosine(k, value, *, steps, cycles):
    """Restart a cosine so many times in the run: a snapshot is taken at the end of each."""
    length = -floor(-steps / cycles)
    return 0.5 * value * (cos(pi * (k % length / length)) + 1)
