"""A gradient that grows from layer to layer makes every step one of the first layers alone."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, LayerProbe, Probe
from thalweg.doctor.finding import Finding, Severity, short
from thalweg.doctor.places import initialized, matrices, weighted
from thalweg.doctor.signs import output_ratio, remaining, weight_ratio


@check(
    code="GD304",
    name="exploding gradients",
    finds="""A gradient that is far larger in the first layer than in the last one, with respect to
        their weights or to what they put out, before the first update; or one that is somewhat
        larger where what the layers put out grows with depth as well.""",
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
        "GD101", "GD201", "GD202", "GD203", "GD204", "GD205", "GD208", "GD209", "GD506", "GD507",
    ),
)  # fmt: skip
def exploding(
    seen: Evidence, *, ratio: float = 50.0, some: float = 15.0, growth: float = 10.0,
    severe: float = 1000.0, learned: float = 0.1,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where the first layer's gradient is *ratio* times the last one's.

    *some* is enough where the spread of what they put out grows more than *growth*-fold. Without
    such growth a loss that came down to the share *learned* speaks for the run. It is an error
    from *severe* on, and where a number became infinite or NaN.
    """
    if not seen.probes or len(weighted(seen)) < 2:
        return
    probe = seen.probes[0]
    weights, outputs = weight_ratio(seen, probe), output_ratio(seen, probe)
    larger, spread = max(weights or 0.0, outputs or 0.0), _growth(seen, probe)
    if larger < (some if spread >= growth else ratio):
        return
    if spread >= growth or seen.nonfinite or remaining(seen) > learned:
        severity: Severity = "error" if seen.nonfinite or larger >= severe else "warning"
        yield _finding(seen, (weights, outputs, spread), severity)


def _growth(seen: Evidence, probe: Probe) -> float:
    """Return the spread of what the last layer puts out as a multiple of the first one's."""
    known: list[LayerProbe] = [
        probe.layers[each.name] for each in weighted(seen) if each.name in probe.layers
    ]
    return known[-1].std / known[0].std if known and known[0].std else 1.0


def _finding(
    seen: Evidence, found: tuple[float | None, float | None, float], severity: Severity
) -> Finding:
    weights, outputs, spread = found
    layers = weighted(seen)
    larger = max(weights or 0.0, outputs or 0.0)
    factor = larger ** (1 / (len(layers) - 1))
    told = (
        f"Before the first update the gradient in {layers[0].name} was {short(larger)} times that "
        f"in {layers[-1].name}, {short(factor)} a layer, and the spread of their outputs grew "
        f"{short(spread)}-fold on the way."
    )
    numbers = {"weights": weights, "outputs": outputs, "growth": spread, "a layer": factor}
    remedy = f"{initialized(seen, matrices(seen))}; nn.utils.clip_grad_norm_(parameters, 1.0)"
    confidence = 0.95 if severity == "error" else 0.8
    return Finding(severity, confidence, told, remedy, numbers, layers[0].name, 1)
