"""A batch far below the noise scale spends its updates on undoing each other."""

import math
from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.economy import Economy, economy
from thalweg.doctor.evidence import Evidence, NoiseScale
from thalweg.doctor.finding import Finding, short


@check(
    code="GD506",
    name="batch too small",
    finds="""A small batch that is many times below the gradient's noise scale, in a run whose loss
        has stopped falling before it was low. A batch that is merely smaller than it could be is
        only remarked upon.""",
    why="""Below the noise scale a gradient is mostly noise: the loss hovers where steps that lead
        down and steps that lead astray cancel. Twice the batch then halves the updates, and a small
        batch costs little less time than a larger one.""",
    fix="""Raise the batch size towards the noise scale, and the learning rate with it (in
        proportion for SGD, by the square root for Adam); where memory is short, accumulate
        gradients. Otherwise decay the learning rate: its noise falls with it.""",
    reference="""McCandlish et al. 2018, An empirical model of large-batch training,
        arXiv:1812.06162; Smith et al. 2018, Don't decay the learning rate, increase the batch size,
        arXiv:1711.00489""",
    needs=("noise", "losses"),
    explains=("GD202", "GD204", "GD205", "GD206"),
)
def batch_too_small(
    seen: Evidence, *, off: float = 10.0, cost: float = 0.2, small: int = 8, level: float = 0.7,
    learned: float = 0.2,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where the noise scale is *off* times a batch of at most *small*.

    The mean loss of the last quarter must be above *level* times that of the second and *learned*
    times the first, but below that, and the share *cost* of it must be what the noise of the
    steps adds. Elsewhere it is a remark where the low end of the scale and the best batch are
    *off* times larger, and that takes less time by the share *cost* of it.
    """
    noise = seen.noise
    if noise is None:
        return
    told = economy(seen, noise, noise.low)
    drowned = noise.scale >= off * noise.batch and noise.low >= off / 2 * noise.batch
    share = _floor_share(seen, noise) if _stuck(seen, level, learned) else 0.0
    if drowned and noise.batch <= small and share >= cost:
        yield _finding(seen, noise, share)
    elif told and told.seconds and _known(noise, off) and _costs(told, off, cost):
        yield _remark(told, noise)


def _stuck(seen: Evidence, level: float, learned: float) -> bool:
    quarters = seen.losses.finite.means(4)
    if len(quarters) < 4:
        return False
    return max(level * quarters[1], learned * quarters[0]) < quarters[3] < quarters[0]


def _floor_share(seen: Evidence, noise: NoiseScale) -> float:
    """Return what the noise of the steps adds to the loss, as a share of it.

    Gradient descent hovers at lr/4 tr Σ/B above a minimum, momentum at as much more as its steps
    are longer. Adam's family divides by the size of the gradient, here that of its noise.
    """
    rates, losses = seen.lrs().values, seen.losses.finite.means(4)
    spread = (noise.spread or 0.0) / noise.batch
    settings = seen.optimizer.groups[0].settings if seen.optimizer.groups else {}
    if seen.optimizer.adaptive:
        elements = sum(each.elements for each in seen.model.parameters.values() if each.trainable)
        spread = math.sqrt(elements * spread) / 2
    elif (momentum := settings.get("momentum")) and momentum < 1:
        spread /= 1 - momentum
    if not len(rates) or not losses or losses[-1] <= 0:
        return 0.0
    return float(rates[-1] * spread / 4 / losses[-1])


def _known(noise: NoiseScale, off: float) -> bool:
    """Whether the scale is a number, and all of its interval is above the batch."""
    return math.isfinite(noise.scale) and noise.low >= off * noise.batch


def _costs(told: Economy, off: float, cost: float) -> bool:
    return told.best >= off * told.batch and told.cost >= cost


def _larger(noise: NoiseScale) -> int:
    return 32 if noise.batch < 4 else 8 * noise.batch


def _finding(seen: Evidence, noise: NoiseScale, share: float) -> Finding:
    told = (
        f"The noise scale is {_scale(noise)}, and the batch {noise.batch}; of the mean loss in the "
        f"last quarter of the run, {short(seen.losses.finite.means(4)[3])}, about "
        f"{min(share, 1.0):.0%} is what the noise of the steps adds."
    )
    remedy = f"batch_size={noise.batch} → {_larger(noise)}"
    numbers = {"scale": noise.scale, "low": noise.low, "batch": noise.batch, "share": share}
    return Finding("warning", 0.8, told, remedy, numbers)


def _scale(noise: NoiseScale) -> str:
    return f"{short(noise.scale)} (at least {short(noise.low)})"


def _remark(told: Economy, noise: NoiseScale) -> Finding:
    sentence = (
        f"At the end of the run the noise scale was {_scale(noise)}; batches of about "
        f"{told.best:.0f} in place of {told.batch} would take less time to the same loss by then."
    )
    numbers = {"scale": noise.scale, "batch": told.batch, "best": told.best, "cost": told.cost}
    return Finding("remark", 0.6, sentence, "", numbers)
