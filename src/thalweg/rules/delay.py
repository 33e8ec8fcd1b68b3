"""Rules that know how late a gradient comes: what was added to the parameter since it was read."""

from thalweg.algebra import maximum, sqrt
from thalweg.rules.ranges import MomentumRate
from thalweg.rules.rule import rule

READ_WITH_PARAMETER = {"grad_sum_read": "grad_sum"}
"""Slots that hold what another slot held when the reader, whose gradient comes, read the parameter.

A rule leaves both alike, as they are for one who reads at once. A parameter server fills the first
before an update, with what the second was at the version that the gradient was measured at.
"""


@rule(
    "AdaptiveRevision",
    paper="McMahan & Streeter 2014, Delay-tolerant algorithms for asynchronous distributed online "
    "learning",
    differences=(
        "Where no gradient comes late, as in an optimizer, it is Adagrad whose sum begins at 1, "
        "with eps = 0.",
    ),
)
def adaptive_revision(
    g, grad_sum=0, grad_sum_read=0, sum=1, max_sum=1, *, lr: MomentumRate = 1e-2
):  # fmt: skip
    """Adagrad that counts what a late gradient missed, and takes back what was stepped too far."""
    g_bck = grad_sum - grad_sum_read
    eta_old = lr / sqrt(max_sum)
    z = sum + g * g + 2 * g * g_bck
    z_max = maximum(z, max_sum)
    eta = lr / sqrt(z_max)
    g_bar = grad_sum + g
    return eta * g - (eta_old - eta) * g_bck, g_bar, g_bar, z, z_max
