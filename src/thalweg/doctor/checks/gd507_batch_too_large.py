"""A batch far above the noise scale computes the same gradient again and again."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.economy import Economy, economy
from thalweg.doctor.evidence import Evidence, NoiseScale
from thalweg.doctor.finding import Finding, Severity, short


@check(
    code="GD507",
    name="batch too large",
    finds="""A batch that is many times above the gradient's noise scale, and costs time by it, in a
        run whose loss was still falling when it ended.""",
    why="""Above the noise scale all parts of a batch say the same: ten times the examples give
        hardly another gradient, and the run could have taken several times the updates in the same
        time. What is still to be gained shows in a loss that still falls.""",
    fix="""Lower the batch size towards the noise scale and take more updates by it. The noise scale
        grows during a run: begin with small batches, and raise them rather than decay the rate.""",
    reference="""McCandlish et al. 2018, An empirical model of large-batch training,
        arXiv:1812.06162; Keskar et al. 2017, On large-batch training for deep learning,
        arXiv:1609.04836""",
    needs=("noise", "losses"),
    glances=("curvature",),
    explains=("GD201",),
)
def batch_too_large(
    seen: Evidence,
    *,
    off: float = 10.0,
    cost: float = 0.2,
    falling: float = 0.9,
    slow: float = 40.0,
) -> Iterator[Finding]:
    """Yield a finding where the batch is *off* times the best, which takes less time by *cost*.

    The last quarter of the losses must be below *falling* times the one before. Where the stable
    rate is *slow* times the one that was used, that comes first, and this is a remark.
    """
    noise = seen.noise
    if noise is None or noise.low < 1:
        return
    told = economy(seen, noise, noise.high)
    if told is None or told.best >= told.batch or told.off < off or told.cost < cost:
        return
    quarters = seen.losses.finite.means(4)
    fell = len(quarters) == 4 and 0 < quarters[3] < falling * quarters[2]
    yield _finding(told, noise, "warning" if fell and not _timid(seen, slow) else "remark")


def _timid(seen: Evidence, slow: float) -> bool:
    rates = seen.lrs().values
    found = seen.curvature
    return found is not None and bool(len(rates)) and found.stable_lr[0] >= slow * rates.max()


def _finding(told: Economy, noise: NoiseScale, severity: Severity) -> Finding:
    sentence = (
        f"The noise scale is {short(noise.scale)} (at most {short(noise.high)}), and the batch "
        f"{told.batch:,}, so that the run takes {told.cost:.0%} more time to a loss than with "
        f"batches of about {told.best:.0f}."
    )
    numbers = {"scale": noise.scale, "batch": told.batch, "best": told.best, "cost": told.cost}
    remedy = f"batch_size={told.batch} → {max(1, round(told.best))}"
    return Finding(severity, 0.8, sentence, remedy, numbers)
