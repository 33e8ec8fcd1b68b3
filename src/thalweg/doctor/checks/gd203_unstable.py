"""Beyond the stable learning rate every step overshoots further than the one before."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Curvature, Evidence
from thalweg.doctor.finding import Finding, Severity, change, short


@check(
    code="GD203",
    name="unstable learning rate",
    finds="""A learning rate beyond the largest stable one at the curvature of the final weights,
        in a run whose loss has stopped falling or rises.""",
    why="""Along the sharpest direction a step goes past the bottom by more than it came from
        (beyond 2/λ_max for gradient descent; momentum and Adam have limits of their own). Until
        something flattens the valley, the loss swings there instead of falling. At the edge of
        stability a rate is a little beyond the limit while the loss falls, and that is good.""",
    fix="""Lower the learning rate to half the stable limit, or warm it up so that training reaches
        flatter regions first. Clipping the gradient bounds the damage of single steps.""",
    reference="""Cohen et al. 2021, Gradient descent on neural networks typically occurs at the
        edge of stability, arXiv:2103.00065; of adaptive rules: Cohen et al. 2022,
        arXiv:2207.14484""",
    needs=("curvature", "losses"),
    explains=("GD202", "GD206"),
)
def unstable(
    seen: Evidence, *, beyond: float = 1.5, risen: float = 1.5, stalled: float = 0.98
) -> Iterator[Finding]:
    """Yield a finding where the rate is *beyond* times the limit and the loss does not fall.

    Beyond the limit at all is enough where the loss rose to *risen* times its start. It is an error
    where the loss stands *risen* times above its lowest stretch, or no lower than it began; a
    warning where its last quarter is above *stalled* times the one before.
    """
    found, rates = seen.curvature, seen.lrs()
    if found is None or not len(rates):
        return
    rate, stretches = float(rates.values[-1]), seen.losses.finite.medians(8)
    if len(stretches) < 8:
        return
    first, lowest, last = stretches[0], min(stretches), stretches[-1]
    if not 0 < found.stable_lr[1] < rate / (1.0 if last > risen * first > 0 else beyond):
        return
    severity: Severity = "error" if last >= risen * lowest or last >= 0.95 * first else "warning"
    if severity == "error" or sum(stretches[6:]) >= stalled * sum(stretches[4:6]):
        yield _finding(rate, found, (first, last), severity)


def _finding(
    rate: float, found: Curvature, losses: tuple[float, float], severity: Severity
) -> Finding:
    low, high = found.stable_lr
    told = (
        f"lr={short(rate)} is {short(rate / high)} times the largest stable rate, "
        f"{_interval(low, high)} at the curvature λ_max={short(found.largest)} of the final "
        f"weights, and the loss went from {short(losses[0])} to {short(losses[1])}."
    )
    numbers = {"lr": rate, "stable_lr": (low, high), "largest": found.largest}
    confidence = min(1.0, 0.5 + 0.1 * rate / high)
    return Finding(severity, confidence, told, change("lr", rate, (low or high) / 2), numbers)


def _interval(low: float, high: float) -> str:
    return short(high) if short(low) == short(high) else f"{short(low)} to {short(high)}"
