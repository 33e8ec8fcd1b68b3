"""A parameter that no optimizer holds stays as it was initialized."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, ParameterFacts
from thalweg.doctor.finding import Finding

SHOWN = 3
"""So many parameters are named at most, the largest first."""


@check(
    code="GD402",
    name="parameter in no group",
    finds="""Parameters that require a gradient and receive one, but are in no group of the
        optimizer, nor of another one.""",
    why="""Their gradients are computed and never used: they stay as they were initialized, and the
        rest of the model has to make do with that. Usual causes are an optimizer that was made of
        one part of the model's parameters, before a layer was added or replaced, or before a layer
        that makes its parameters at its first call.""",
    fix="""Give the optimizer all parameters: `optimizer = AdamW(model.parameters())`, made after
        the model is complete, or `optimizer.add_param_group`. If they are meant to stay, say so:
        `requires_grad_(False)`, which saves the time of their gradients as well.""",
    reference="PyTorch documentation, torch.optim: constructing it, and per-parameter options",
    needs=("settings",),
    glances=("gradients",),
    explains=(
        "GD201", "GD205", "GD206", "GD207", "GD208", "GD209", "GD301", "GD302", "GD303", "GD304",
        "GD305", "GD306",
    ),
)  # fmt: skip
def in_no_group(seen: Evidence, *, least: int = 1) -> Iterator[Finding]:
    """Yield a finding where at least *least* such parameters are there."""
    elsewhere = {name for each in seen.others for name in each.parameters}
    lost = [
        each
        for each in seen.model.parameters.values()
        if each.trainable and not each.groups and each.name not in elsewhere
    ]
    lost = [each for each in lost if _received(seen, each.name)]
    if len(lost) >= least and any(each.groups for each in seen.model.parameters.values()):
        yield _finding(seen, lost)


def _received(seen: Evidence, name: str) -> bool:
    """Whether it had a gradient and was not changed, at some probe if there are any."""
    probed = [each.parameters[name] for each in seen.probes if name in each.parameters]
    sloped = any(each.gradient is not None for each in probed) or not probed
    return sloped and not any(each.update for each in probed)


def _finding(seen: Evidence, lost: list[ParameterFacts]) -> Finding:
    trained = sum(each.elements for each in seen.model.parameters.values() if each.trainable)
    elements = sum(each.elements for each in lost)
    largest = sorted(lost, key=lambda each: -each.elements)
    names = ", ".join(each.name for each in largest[:SHOWN])
    more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
    verb = "stays" if len(lost) == 1 else "stay"
    told = (
        f"{names}{more} {verb} as initialized, in no group of {seen.optimizer.kind}: "
        f"{elements / trained:.0%} of the {trained:,} numbers that require a gradient."
    )
    remedy = f"{seen.optimizer.kind}(…) → {seen.optimizer.kind}(model.parameters())"
    numbers = {"parameters": [each.name for each in lost], "share": elements / trained}
    return Finding("warning", 1.0, told, remedy, numbers, largest[0].name)
