"""Pieces of a chain: what may happen to the gradient, the step or the new parameter."""

from thalweg.algebra import (
    clip,
    ema,
    from_input,
    global_norm,
    maximum,
    mean_tensor,
    minimum,
    norm,
    normal,
    sqrt,
    unit_mean,
    where,
)
from thalweg.rules.ranges import (
    Beta,
    Decay,
    Fraction,
    Index,
    NonNegative,
    Positive,
    PositiveRate,
    Seed,
)
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


@transform("decay by the schedule", paper="Loshchilov & Hutter 2019", arxiv="1711.05101")
def decay_by_schedule(step, p, *, lr, base_lr: PositiveRate = 1e-3, weight_decay: Decay = 1e-5):
    """Shrink the parameter by the schedule's multiplier lr / base_lr alone, as the paper does."""
    return step + lr / base_lr * weight_decay * p


@transform("independent decay", paper="Loshchilov & Hutter 2019, without a schedule",
           arxiv="1711.05101")  # fmt: skip
def independent_decay(step, p, *, weight_decay: Decay = 1e-4):
    """Shrink the parameter by the same share at every step, whatever the learning rate."""
    return step + weight_decay * p


@transform("corrected decay", paper="Defazio 2025, Why gradients rapidly increase near the end of "
           "training", arxiv="2506.02285")  # fmt: skip
def corrected_decay(step, p, *, lr, max_lr: PositiveRate = 1e-3, weight_decay: Decay = 1e-2):
    """Shrink by lr squared over the largest lr: a schedule leaves normalized layers in balance."""
    return step + lr * lr / max_lr * weight_decay * p


@transform("gradient noise", paper="Neelakantan et al. 2015, Adding gradient noise improves "
           "learning for very deep networks", arxiv="1511.06807")  # fmt: skip
def add_noise(
    g, *, t, noise_eta: NonNegative = 0.01, noise_gamma: Fraction = 0.55, seed: Seed = 0.0
):
    """Add normal noise of variance noise_eta / t^noise_gamma, keyed by seed, step and place."""
    sigma = sqrt(noise_eta / t**noise_gamma)
    return g + sigma * normal(seed, t)


@transform("centring", paper="Yong et al. 2020, Gradient centralization", arxiv="2004.01461")
def centre(g):
    """Take from each unit's gradient its mean; gradients with fewer than two axes stay."""
    return g - unit_mean(g)


@transform("caution", paper="Liang et al. 2024, Cautious optimizers", arxiv="2411.16085")
def caution(step, g):
    """Drop the parts of a step that point up the gradient, and lengthen the others in turn."""
    mask = where(step * g > 0, 1, 0)
    return step * mask / maximum(mean_tensor(mask), 1e-3)


@transform("trust ratio", paper="You et al. 2020, Large batch optimization for deep learning",
           arxiv="1904.00962")  # fmt: skip
def trust_ratio(step, p, *, lr):
    """Give each tensor's step the length of lr times the tensor's own norm."""
    w = norm(p)
    u = norm(step)
    r = where(w > 0, where(u > 0, lr * w / u, 1), 1)
    return r * step


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


@transform("Polyak averaging", paper="Polyak & Juditsky 1992, Acceleration of stochastic "
           "approximation by averaging")  # fmt: skip
def polyak_average(p_new, average=from_input("p"), *, t, average_start: Index = 0.0):
    """Keep the mean of all parameters after update average_start; the path is unchanged."""
    k = maximum(t - average_start, 1)
    theta_bar = where(k > 1, average + (p_new - average) / k, p_new)
    return p_new, theta_bar
