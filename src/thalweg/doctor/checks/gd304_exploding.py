"""A gradient that grows from layer to layer makes every step one of the first layers alone."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, LayerProbe, Probe
from thalweg.doctor.finding import Finding, Severity, short
from thalweg.doctor.places import initialized, matrices, weighted
from thalweg.doctor.signs import blocked, output_ratio, remaining, weight_ratio


@check(
    code="GD304",
    name="exploding gradients",
    finds="""A gradient that is far larger in the first layer than in the last one, with respect to
        their weights or to what they put out, before the first update. Less is enough where what
        the layers put out grows with depth as well, and in recurrent layers, which are deep in
        time; more is needed where layers are normalized.""",
    why="""The gradient of a layer is a product over all layers behind it. Where each factor is
        above one (weights too large, recurrence over many steps), it grows exponentially with
        depth: a rate that suits the last layers throws the first ones away, and one that suits
        the first leaves the last ones where they are. Often the loss is huge or not finite.""",
    fix="""Initialize by the width of the layers (`nn.init.kaiming_normal_` for rectifiers,
        `nn.init.xavier_normal_` for tanh, `nn.init.orthogonal_` for recurrence), normalize between
        layers, scale residual branches down with depth, and clip the gradient by its norm.""",
    reference="""Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural
        networks, arXiv:1211.5063; He et al. 2015, arXiv:1502.01852; the ratio follows Zhang et al.
        2021, AutoTrainer, ICSE""",
    needs=("gradients",),
    glances=("activations", "losses"),
    explains=(
        "GD101", "GD201", "GD202", "GD203", "GD204", "GD205", "GD208", "GD209", "GD302",
        "GD506", "GD507",
    ),
)  # fmt: skip
def exploding(
    seen: Evidence, *, ratio: float = 50.0, normalized: float = 200.0, some: float = 15.0,
    growth: float = 10.0, recurrent: float = 10.0, severe: float = 1000.0, learned: float = 0.1,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where the first layer's gradient is *ratio* times the last one's.

    In a network with normalizations it takes *normalized*, in a recurrent layer *recurrent*, and
    *some* where the spread of what layers put out grows more than *growth*-fold. Without such
    growth a loss that came down to the share *learned* speaks for the run. Units that were dead or
    saturated, and gradients that were not finite, are other diseases. It is an error from *severe*
    on, and where a number became infinite or NaN later.
    """
    if not seen.probes or len(weighted(seen)) < 2 or blocked(seen.probes[0]):
        return
    probe = seen.probes[0]
    spread, larger = _growth(seen, probe), _larger(seen, probe)
    if not all(each.finite for each in probe.parameters.values()):
        return
    limit = normalized if seen.model.of_family("normalization") else ratio
    through_time = _through_time(seen, probe)
    if larger < (some if spread >= growth else limit) and through_time < recurrent:
        return
    if spread >= growth or seen.nonfinite or remaining(seen) > learned:
        worst = max(larger, through_time)
        severity: Severity = "error" if seen.nonfinite or worst >= severe else "warning"
        yield _finding(seen, worst, spread, severity)


def _larger(seen: Evidence, probe: Probe) -> float:
    """Return the first layer's gradient as a multiple of the last one's, of weights or outputs."""
    return max(weight_ratio(seen, probe) or 0.0, output_ratio(seen, probe) or 0.0)


def _through_time(seen: Evidence, probe: Probe) -> float:
    """Return the largest gradient of a recurrent layer's weight as a multiple of the last one's."""
    last = probe.parameters[matrices(seen)[-1]].gradient
    inside = {name for each in seen.model.of_family("recurrent") for name in each.parameters}
    found = [probe.parameters[name].gradient or 0.0 for name in matrices(seen) if name in inside]
    return max(found, default=0.0) / last if last else 0.0


def _growth(seen: Evidence, probe: Probe) -> float:
    """Return the spread of what the last layer puts out as a multiple of the first one's."""
    known: list[LayerProbe] = [
        probe.layers[each.name] for each in weighted(seen) if each.name in probe.layers
    ]
    return known[-1].std / known[0].std if known and known[0].std else 1.0


def _finding(seen: Evidence, larger: float, spread: float, severity: Severity) -> Finding:
    layers = weighted(seen)
    told = (
        f"Before the first update the gradient in {layers[0].name} was {short(larger)} times that "
        f"in {layers[-1].name}, {len(layers) - 1} layers on, and the spread of what they put out "
        f"grew {short(spread)}-fold on the way."
    )
    numbers = {"ratio": larger, "growth": spread, "layers": len(layers)}
    remedy = f"{_initialized(seen)}; nn.utils.clip_grad_norm_(model.parameters(), 1.0)"
    confidence = 0.95 if severity == "error" else 0.8
    return Finding(severity, confidence, told, remedy, numbers, layers[0].name, 1)


def _initialized(seen: Evidence) -> str:
    recurrent = seen.model.of_family("recurrent")
    hidden = [name for each in recurrent for name in each.parameters if "weight_hh" in name]
    return f"nn.init.orthogonal_({hidden[0]})" if hidden else initialized(seen, matrices(seen))
