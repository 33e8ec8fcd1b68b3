"""Rules that give each tensor a step in proportion to its own norm, for very large batches."""

from thalweg.algebra import norm, where
from thalweg.rules.adam import adam
from thalweg.rules.chain import chain
from thalweg.rules.ranges import Decay, LayerRate, Momentum, Positive
from thalweg.rules.rule import rule
from thalweg.rules.transforms import decay, trust_ratio


@rule(
    "LARS",
    paper="You, Gitman & Ginsburg 2017, Large batch training of convolutional networks",
    arxiv="1708.03888",
    differences=(
        "The learning rate stands inside the buffer, as in the paper's Algorithm 1. A tensor of "
        "norm zero, or with a gradient of norm zero, takes the plain rate.",
    ),
)
def lars(
    g, p, momentum_buffer=0, *,
    lr: LayerRate = 0.1, momentum: Momentum = 0.9, weight_decay: Decay = 0.0,
    trust_coefficient: Positive = 1e-3,
):  # fmt: skip
    """Momentum in which each tensor moves by a set share of its own norm."""
    w = norm(p)
    n = norm(g)
    ratio = trust_coefficient * w / (n + weight_decay * w)
    r = where(w > 0, where(n > 0, ratio, 1), 1)
    v = momentum * momentum_buffer + lr * r * (g + weight_decay * p)
    return v, v


lamb = chain(
    adam, decay, trust_ratio, key="lamb", name="LAMB", arxiv="1904.00962",
    paper="You et al. 2020, Large batch optimization for deep learning",
    summary="AdamW whose step for each tensor has the length of lr times the tensor's norm.",
    differences=(
        "Both moments are bias-corrected, as in the paper's Algorithm 2; some ports leave that "
        "out. The paper's bounds on the norm are left out here, as in optax.",
    ),
    defaults={"eps": 1e-6},
)  # fmt: skip
