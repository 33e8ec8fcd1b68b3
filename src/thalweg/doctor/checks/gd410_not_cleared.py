"""A gradient that is not cleared is added to the next one: every step repeats all that came."""

from collections.abc import Iterator

import numpy as np

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, Probe
from thalweg.doctor.finding import Finding, short
from thalweg.doctor.signs import length


@check(
    code="GD410",
    name="gradients not cleared",
    finds="""Gradients of the update before that are still there when the next ones are added to
        them. Accumulation over the batches of one update is none.""",
    why="""`backward` adds to the gradients that are there. Uncleared, a step follows the sum of all
        gradients so far, which is momentum that never fades: the steps grow, lag behind the slope,
        and swing to and fro across the valley.""",
    fix="""Call `optimizer.zero_grad()` once for each update, before its first `backward` or after
        `step`. With accumulation it belongs where `step` is, not where an epoch ends.""",
    reference="PyTorch documentation, torch.optim.Optimizer.zero_grad; Zeroing out gradients",
    needs=("gradients",),
    explains=(
        "GD101", "GD201", "GD202", "GD203", "GD204", "GD205", "GD206", "GD207", "GD208", "GD209",
        "GD301", "GD302", "GD303", "GD304", "GD407", "GD504", "GD506", "GD507",
    ),
)  # fmt: skip
def not_cleared(seen: Evidence, *, share: float = 1e-3) -> Iterator[Finding]:
    """Yield a finding where the gradient left was more than the *share* of the one stepped by.

    The first update has nothing before it; of the others at least half must have had some left.
    """
    shares = [_left(each) for each in seen.probes if each.step > 1]
    known = [each for each in shares if each is not None]
    if known and np.median(known) > share:
        yield _finding(float(np.median(known)), len(known))


def _left(probe: Probe) -> float | None:
    """Return the norm of what was left as a share of that of what was stepped by."""
    stepped = length(probe, "gradient")
    if probe.leftover is None or not np.isfinite(probe.leftover) or not np.isfinite(stepped):
        return None
    return probe.leftover / stepped if stepped > 0 else None


def _finding(share: float, probes: int) -> Finding:
    told = (
        f"Before `backward` the gradients of the update before were still there, typically "
        f"{short(share)} times as large as the gradient that was then stepped by ({probes} "
        f"update{'' if probes == 1 else 's'} looked at)."
    )
    remedy = "loss.backward() → optimizer.zero_grad(); loss.backward(), once for each update"
    return Finding("error", min(1.0, 0.9 + probes / 50), told, remedy, {"left": share})
