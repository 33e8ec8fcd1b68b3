"""Inputs that are not centred, or whose scales differ widely, make a ravine of any loss."""

from collections.abc import Iterator, Sequence

import numpy as np

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, Inputs
from thalweg.doctor.finding import Finding, Severity, short

SHOWN = 3
"""So many features are named at most, the worst first."""


@check(
    code="GD501",
    name="inputs badly scaled",
    finds="""Features of the input whose spread is far from the others' or from one, or whose mean
        lies many spreads away from zero, where no normalization comes first.""",
    why="""The curvature along a first-layer weight grows with the mean square of its input. A
        feature a hundred times larger than another makes the loss ten thousand times steeper in
        its direction, and an offset does the same to all features at once: the learning rate must
        suit the steepest, and the rest stands still.""",
    fix="""Subtract each feature's mean over the training set and divide by its standard deviation,
        the same numbers for training and test (`StandardScaler`, `transforms.Normalize`), or begin
        the model with a normalization layer. Take the logarithm of features that span decades.""",
    reference="""LeCun, Bottou, Orr & Müller 1998, Efficient backprop, section 4.3 (normalizing the
        inputs)""",
    needs=("inputs",),
    explains=("GD201", "GD202", "GD203", "GD204", "GD206", "GD208", "GD209", "GD302", "GD304"),
)
def badly_scaled(
    seen: Evidence, *, ratio: float = 30.0, offset: float = 5.0, scale: float = 20.0,
    severe: float = 10.0, least: int = 32,
) -> Iterator[Finding]:  # fmt: skip
    """Yield one finding for sizes and one for offsets, each *severe* times worse an error.

    A size is the largest absolute value. It may be *ratio* times that of the median feature, which
    may be *scale*; a mean may be *offset* spreads away from zero, its own or the median feature's.
    Constant features do not count.
    """
    inputs = seen.inputs
    if inputs is None or inputs.examples < least or _normalized(seen):
        return
    varying = inputs.std > 1e-12 * np.maximum(1.0, np.abs(inputs.mean))
    if varying.any():
        yield from _sizes(seen, inputs, varying, (ratio, scale, severe))
        yield from _offsets(inputs, varying, offset, severe)


def _normalized(seen: Evidence) -> bool:
    """Whether a normalization is the first layer that the inputs come to."""
    first = seen.model.modules.get(seen.model.order[0]) if seen.model.order else None
    return first is not None and first.family == "normalization"


def _sizes(
    seen: Evidence, inputs: Inputs, varying: np.ndarray, limits: tuple[float, float, float]
) -> Iterator[Finding]:
    ratio, scale, severe = limits
    size = np.where(varying, np.maximum(np.abs(inputs.low), np.abs(inputs.high)), 0.0)
    typical = float(np.median(size[varying]))
    largest = float(size.max()) / typical
    whole = 0.0 if _scaled_inside(seen) else max(typical / scale, 1 / (typical * scale * severe))
    worst = max(largest / ratio, whole)
    if worst <= 1:
        return
    names = _named(inputs, size) if largest > ratio else "all features"
    told = (
        f"The largest value of a feature is typically {short(typical)}; that of {names} is up to "
        f"{short(float(size.max()))}, {short(largest)} times as large."
    )
    if largest <= ratio:
        told = f"The largest value of a feature is typically {short(typical)}, far from one."
    numbers = {"typical": typical, "largest": float(size.max()), "worst": names}
    yield _finding(worst, severe, told, numbers, names)


def _scaled_inside(seen: Evidence) -> bool:
    """Whether the first layer puts out numbers of usual size, so that the model scales itself."""
    layers = seen.model.of_family("linear", "convolution", "recurrent", "attention")
    if not layers or not seen.probes:
        return False
    probe = seen.probes[0].layers.get(layers[0].name)
    return probe is not None and 1e-2 < abs(probe.mean) + probe.std < 5.0


def _offsets(
    inputs: Inputs, varying: np.ndarray, offset: float, severe: float
) -> Iterator[Finding]:
    usual = np.maximum(inputs.std, (inputs.high - inputs.low) / 4)
    spread = np.maximum(usual, np.median(usual[varying]))
    away = np.where(varying, np.abs(inputs.mean) / spread, 0.0)
    if not away.max() > offset:
        return
    share, names = float((away > offset).mean()), _named(inputs, away)
    told = (
        f"{share:.0%} of the features have a mean more than {short(offset)} spreads from zero, "
        f"the farthest {short(float(away.max()))} spreads: {names}."
    )
    numbers = {"farthest": float(away.max()), "share": share, "worst": names}
    yield _finding(float(away.max()) / offset, severe, told, numbers, names)


def _finding(
    worst: float, severe: float, told: str, numbers: dict[str, object], names: str
) -> Finding:
    severity: Severity = "error" if worst >= severe else "warning"
    remedy = "inputs → (inputs - mean) / std, feature by feature"
    return Finding(severity, min(1.0, 0.6 + 0.1 * worst), told, remedy, numbers, f"input, {names}")


def _named(inputs: Inputs, badness: np.ndarray) -> str:
    worst: Sequence[int] = np.argsort(-badness)[:SHOWN].tolist()
    return ", ".join(inputs.names[k] for k in worst if badness[k] > badness.max() / 3)
