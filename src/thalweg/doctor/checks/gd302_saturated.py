"""At the flat end of its function a unit has hardly a slope, and nothing before it is trained."""

from collections.abc import Iterator, Sequence

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, Severity, change, short
from thalweg.doctor.places import before, initialized, is_last
from thalweg.doctor.signs import remaining


@check(
    code="GD302",
    name="saturated units",
    finds="""Layers of tanh, sigmoid and their like, and recurrent layers, of which many values or
        gates lie at the flat ends. What makes the output is not looked at, nor is softmax.""",
    why="""There the slope is below a fiftieth of what it is in the middle (for tanh beyond ±0.99,
        for sigmoid beyond 0.01 and 0.99), so that almost no gradient comes through, and the unit
        cannot come back. Layers before it are trained by the few values that are not there.""",
    fix="""Where units begin so: initialize with smaller weights (`nn.init.xavier_normal_`), centre
        and scale the inputs, or normalize before the activation. Where they become so: lower the
        learning rate, or warm it up. Rectifiers do not saturate on one side.""",
    reference="""Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward
        neural networks, AISTATS, section 3; LeCun et al. 1998, Efficient backprop, section 4.4""",
    needs=("activations",),
    glances=("losses",),
    explains=(
        "GD201", "GD205", "GD206", "GD207", "GD208", "GD209", "GD401", "GD506",
        "GD507",
    ),
)  # fmt: skip
def saturated(
    seen: Evidence, *, some: float = 0.4, severe: float = 0.7, few: float = 0.25,
    learned: float = 0.1,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding for each layer with a share of saturated values of at least *some* at last.

    From *severe* on it is an error, unless it began with *few*: then it is what a rate did, and a
    warning. Where in that case the loss came down to the share *learned*, the units saturated as
    they learned, which is good.
    """
    good = remaining(seen) <= learned
    for name in seen.model.order:
        trend = _trend(seen, name)
        if not trend or trend[-1] < some or (good and trend[0] < few):
            continue
        if not is_last(seen, name) and seen.model.modules[name].kind != "Softmax":
            bad = trend[-1] >= severe and trend[0] >= few
            severity: Severity = "error" if bad else "warning"
            yield _finding(seen, name, trend, severity)


def _trend(seen: Evidence, name: str) -> list[float]:
    """Return the saturated share at each probe."""
    found = [each.layers[name].saturated for each in seen.probes if name in each.layers]
    return [each for each in found if each is not None]


def _finding(seen: Evidence, name: str, trend: Sequence[float], severity: Severity) -> Finding:
    first, last = trend[0], trend[-1]
    kind = seen.model.modules[name].kind
    told = (
        f"{last:.0%} of what {kind} puts out lies at the flat ends of its range; "
        f"it was {first:.0%} at the first probe."
    )
    numbers = {"share": last, "begun": first, "trend": [*trend]}
    confidence = 0.4 + 0.3 * (first + last)
    begun = ("GD202",) if severity == "error" else ()
    remedy = _remedy(seen, name, trend)
    return Finding(severity, confidence, told, remedy, numbers, name, explains=begun)


def _remedy(seen: Evidence, name: str, trend: Sequence[float]) -> str:
    """Return a lower rate where units became saturated, smaller weights where they began so."""
    rates = seen.lrs()
    if trend[0] < trend[-1] / 2 and len(rates):
        return change("lr", max(rates.values), max(rates.values) / 10)
    if seen.model.modules[name].family == "recurrent":
        return f"nn.init.xavier_normal_({name}.weight_ih_l0), nn.init.orthogonal_(weight_hh)"
    layer = before(seen, name)
    if layer is None:
        return "inputs → (inputs - mean) / std, feature by feature"
    spread = seen.probes[0].layers[layer.name].std if layer.name in seen.probes[0].layers else 0.0
    scaled = f", or {layer.parameters[0]} *= {short(1 / spread)}" if spread > 1 else ""
    return initialized(seen, layer.parameters[:1]) + scaled
