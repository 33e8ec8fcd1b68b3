"""A rectifier whose units are zero for every example passes no gradient to what lies before it."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, Units
from thalweg.doctor.finding import Finding, Severity, change
from thalweg.doctor.signs import remaining


@check(
    code="GD301",
    name="dead ReLU",
    finds="""A layer of rectified units of which many were zero for every example that was looked
        at, in all probes together.""",
    why="""Where a rectified unit is zero its derivative is zero as well, so the weights before it
        get no gradient and cannot bring it back. Dead units are lost capacity; a layer of them
        cuts off everything before it.""",
    fix="""Lower the learning rate, or warm it up: units die when one large step drives their bias
        far below zero. Initialize for rectifiers (`nn.init.kaiming_normal_`, bias 0), normalize
        before the activation, or use one that leaks (`nn.LeakyReLU`, `nn.GELU`).""",
    reference="""Lu et al. 2020, Dying ReLU and initialization, arXiv:1903.06733; the share is the
        one of Zhang et al. 2021, AutoTrainer, ICSE""",
    needs=("activations",),
    glances=("losses",),
    explains=("GD201", "GD206", "GD207", "GD401"),
)
def dead_relu(
    seen: Evidence, *, dead: float = 0.7, some: float = 0.5, most: float = 0.9,
    learned: float = 0.1, least: int = 64,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding for each layer with a share of dead units above *some*.

    From *dead* on it is an error; fewer examples than *least* are too few to tell. Where the loss
    came down to the share *learned*, units that became rarely active are no harm, up to *most*, and
    those that were dead from the beginning are a warning.
    """
    good = remaining(seen) <= learned
    for name in seen.model.order:
        units = seen.units.get(name)
        if units is None or units.examples < least:
            continue
        share = 1 - units.active / units.units
        limit = most if good and _begun(units) < some else some
        if share >= limit:
            harm = share >= (most if good else dead)
            severity: Severity = "error" if harm else "warning"
            yield _finding(seen, name, units, severity)


def _begun(units: Units) -> float:
    """Return the share that was dead at the first probe, 0 where that is not known."""
    return 0.0 if units.begun is None else 1 - units.begun / units.units


def _finding(seen: Evidence, name: str, units: Units, severity: Severity) -> Finding:
    share = 1 - units.active / units.units
    numbers = {"units": units.units, "active": units.active, "share": share}
    told = (
        f"{share:.0%} of the {units.units:,} units were zero for all {units.examples:,} examples "
        f"that were looked at{_history(units)}."
    )
    confidence = min(1.0, 0.7 + units.examples / 3000)
    return Finding(severity, confidence, told, _remedy(seen, units), numbers, name)


def _history(units: Units) -> str:
    if units.begun is None:
        return ""
    return f"; at the first probe {1 - units.begun / units.units:.0%} were"


def _remedy(seen: Evidence, units: Units) -> str:
    """Return a lower learning rate where units died, another beginning where they began so."""
    rates = seen.lrs()
    died = units.begun is not None and units.begun > 2 * units.active
    if died and len(rates):
        return change("lr", max(rates.values), max(rates.values) / 10)
    return "nn.init.kaiming_normal_(weight), bias=0 before it, or nn.ReLU() → nn.LeakyReLU()"
