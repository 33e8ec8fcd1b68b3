"""A gradient that shrinks from layer to layer leaves the first layers untrained."""

from collections.abc import Callable, Iterator
from functools import partial

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, Probe
from thalweg.doctor.finding import Finding, Severity, short
from thalweg.doctor.places import initialized, matrices, weighted
from thalweg.doctor.signs import blocked, median_over, output_ratio, remaining, weight_ratio

FLAT = ("Sigmoid", "Tanh", "Softsign", "Hardsigmoid", "Hardtanh")
"""Activations whose slope is below one, but for a point."""


@check(
    code="GD303",
    name="vanishing gradients",
    finds="""A gradient that is far smaller in the first layer than in the last one, with respect to
        their weights or to what they put out, in a run whose loss does not come down.""",
    why="""The gradient of a layer is a product over all layers behind it. Where each factor is
        below one (sigmoid has a slope of at most 1/4; small weights), the product falls
        exponentially with depth: the last layers learn from features that stay random. With weights
        that are too small the signal itself is lost on its way forward.""",
    fix="""Use rectifiers in place of sigmoid and tanh, initialize by the width of the layers
        (`nn.init.kaiming_normal_`), normalize between layers, add residual connections, or take
        layers away.""",
    reference="""Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward
        neural networks, AISTATS; He et al. 2015, Delving deep into rectifiers, arXiv:1502.01852;
        the ratio is the one of Zhang et al. 2021, AutoTrainer, ICSE""",
    needs=("gradients", "losses"),
    glances=("activations",),
    explains=(
        "GD103", "GD104", "GD201", "GD205", "GD206", "GD207", "GD208", "GD209", "GD301", "GD302",
        "GD401", "GD506", "GD507",
    ),
)  # fmt: skip
def vanishing(
    seen: Evidence, *, ratio: float = 1e-3, still: float = 3e-3, learned: float = 0.1,
    stuck: float = 0.9, deep: int = 3,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where the first layer's gradient is below *ratio* of the last one's.

    That is at the first probe and in the median, with no layer dead or saturated at first, unless
    the loss came down to the share *learned*. It is an error, and *still* is enough in place of
    *ratio*, where the loss kept the share *stuck*. What layers put out counts from *deep* layers
    on: two that are small alike lie at a saddle.
    """
    weights, outputs = _lasting(seen, weight_ratio), _lasting(seen, output_ratio)
    left = remaining(seen)
    if left <= learned or weights is None or len(weighted(seen)) < 2 or blocked(seen.probes[0]):
        return
    counts = outputs is not None and len(weighted(seen)) >= deep
    smaller = min(weights, outputs) if counts and outputs is not None else weights
    if smaller < (still if left >= stuck else ratio):
        severity: Severity = "error" if left >= stuck else "warning"
        yield _finding(seen, (weights, outputs), left, severity)


def _lasting(seen: Evidence, ratio: Callable[[Evidence, Probe], float | None]) -> float | None:
    """Return a ratio at the first probe or in the median, whichever is larger; None if unseen."""
    first, typical = ratio(seen, seen.probes[0]), median_over([*seen.probes], partial(ratio, seen))
    return None if first is None or typical is None else max(first, typical)


def _finding(
    seen: Evidence, ratios: tuple[float, float | None], left: float, severity: Severity
) -> Finding:
    weights, outputs = ratios
    layers = weighted(seen)
    names = f"{layers[0].name} to that of {layers[-1].name}"
    also = "" if outputs is None else f", and of their outputs 1 : {_inverse(outputs)}"
    told = (
        f"The gradient of the weights of {names} is as 1 : {_inverse(weights)}{also}; "
        f"the loss is at {left:.0%} of its start."
    )
    numbers = {"weights": weights, "outputs": outputs, "loss": left, "layers": len(layers)}
    confidence = 0.9 if severity == "error" else 0.7
    return Finding(severity, confidence, told, _remedy(seen), numbers, layers[0].name)


def _inverse(ratio: float) -> str:
    return short(1 / ratio) if ratio else "∞"


def _remedy(seen: Evidence) -> str:
    """Return other activations where they are flat, another beginning where they are not."""
    names = matrices(seen)
    flat = [each for each in seen.model.of_family("activation") if each.kind in FLAT]
    if flat:
        return f"nn.{flat[0].kind}() → nn.ReLU(), nn.init.kaiming_normal_({names[0]})"
    if seen.model.of_family("recurrent"):
        return "fewer layers on each other, or x = x + layer(x) around each"
    return f"{initialized(seen, names)}, or nn.LayerNorm between the layers"
