"""A parameter that never receives a gradient is never trained."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding


@check(
    code="GD401",
    name="parameter without a gradient",
    finds="""A parameter that requires a gradient, is in a group of the optimizer, and had none,
        or one of zeros only, at every probe.""",
    why="""It stays as it was initialized. Either the loss does not depend on it (a layer that is
        never called, a branch that is never taken), or something on the way cuts the graph:
        `detach`, `.data`, `torch.no_grad`, a conversion to NumPy, an integer.""",
    fix="""Call the layer, or remove the cut between it and the loss. If it is meant to stay,
        say so: `parameter.requires_grad_(False)`, and leave it out of the optimizer.""",
    reference="PyTorch documentation, Autograd mechanics: locally disabling gradient computation",
    needs=("gradients",),
    glances=("gradient check",),
)
def no_gradient(seen: Evidence, *, least: int = 1) -> Iterator[Finding]:
    """Yield a finding for each parameter without a gradient at all of at least *least* probes."""
    for name, facts in seen.model.parameters.items():
        probed = [each.parameters[name] for each in seen.probes if name in each.parameters]
        if not (facts.trainable and facts.groups) or len(probed) < least:
            continue
        if all(each.gradient is None for each in probed):
            yield _finding(name, len(probed), "had no gradient", _cut(seen))
        elif not any(each.gradient for each in probed) and all(each.finite for each in probed):
            yield _finding(name, len(probed), "had a gradient of zeros only", _cut(seen))


def _cut(seen: Evidence) -> tuple[str, ...]:
    """Return the code of a wrong gradient where all that is wrong is that there is none."""
    wrong = seen.gradient_check.mismatches if seen.gradient_check else ()
    return ("GD102",) if all(not (each.gradient or each.function) for each in wrong) else ()


def _finding(name: str, probes: int, what: str, cut: tuple[str, ...]) -> Finding:
    times = f"all {probes} updates" if probes > 1 else "the one update"
    told = f"{name} {what} at {times} that were looked at, so it is not trained."
    remedy = f"let the loss depend on {name}, or {name}.requires_grad_(False)"
    confidence = min(1.0, 0.8 + probes / 50)
    return Finding("warning", confidence, told, remedy, {"probes": probes}, name, explains=cut)
