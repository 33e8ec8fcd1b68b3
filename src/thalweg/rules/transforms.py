"""Pieces of a chain: what may happen to the gradient, the step or the new parameter."""

from thalweg.algebra import clip, ema, from_input, global_norm, minimum
from thalweg.rules.ranges import Beta, Decay, Positive
from thalweg.rules.transform import transform


@transform("ascent")
def ascend(g):
    """Climb instead of descend: torch's ``maximize=True``."""
    return -g


@transform("L2 decay")
def l2_decay(g, p, *, weight_decay: Decay = 0.0):
    """Add the gradient of half the squared parameter, scaled; the rule then sees the sum."""
    g = g + weight_decay * p
    return g


@transform("decoupled decay", paper="Loshchilov & Hutter 2019", arxiv="1711.05101")
def decay(step, p, *, lr, weight_decay: Decay = 1e-2):
    """Shrink the parameter in proportion to the learning rate, apart from the rule's own step."""
    return step + lr * weight_decay * p


@transform("clipping by value")
def clip_by_value(g, *, clip_value: Positive = 1.0):
    """Bound every element of the gradient to plus or minus *clip_value*."""
    return clip(g, -clip_value, clip_value)


@transform("clipping by global norm", paper="Pascanu, Mikolov & Bengio 2013", arxiv="1211.5063")
def clip_by_global_norm(g, *, max_norm: Positive = 1.0):
    """Scale all gradients down together where their joint norm exceeds *max_norm*."""
    scale = minimum(1, max_norm / (global_norm(g) + 1e-6))
    return g * scale


@transform("averaging", paper="Polyak & Juditsky 1992, with exponential weights")
def ema_average(p_new, average=from_input("p"), *, ema_decay: Beta = 0.999):
    """Keep an exponential moving average of the parameter beside it; the path is unchanged."""
    theta_bar = ema(p_new, average, ema_decay)
    return p_new, theta_bar
