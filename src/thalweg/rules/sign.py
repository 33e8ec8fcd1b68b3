"""Rules that look at the sign of the gradient and learn how far to go from its changes."""

from thalweg.algebra import clip, from_hyper, sign, where
from thalweg.rules.ranges import AdaptiveRate, Grow, Positive, Shrink
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
