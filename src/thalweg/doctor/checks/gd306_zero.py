"""Weights that all begin at zero pass nothing on, neither forward nor back."""

from collections.abc import Iterator, Sequence

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, Probe
from thalweg.doctor.finding import Finding, Severity
from thalweg.doctor.places import initialized, matrices

SHOWN = 3
"""So many weights are named at most."""


@check(
    code="GD306",
    name="weights that begin at zero",
    finds="""Matrices of which every entry was zero before the first update: some that are still
        zero at the end and get no gradient, or more than half of all. A single layer, or the last
        layer of a branch or of the network, may begin at zero.""",
    why="""A layer of zeros puts out its bias whatever comes in, and sends zeros back to the layers
        before it. Two of them one after the other keep each other at zero: each one's gradient is
        a product with the other. Only the last bias is trained, to the frequencies of the classes.
        It is a saddle, and where gradients are not exactly zero, a slow one to leave.""",
    fix="""Draw the weights at random, at the scale that suits the activation
        (`nn.init.kaiming_normal_` for rectifiers, `nn.init.xavier_normal_` for tanh and sigmoid).
        Zero is right for biases, and for the last layer of a residual branch.""",
    reference="""Goodfellow, Bengio & Courville 2016, Deep learning, section 8.4 (parameter
        initialization); Glorot & Bengio 2010, AISTATS""",
    needs=("gradients",),
    glances=("losses",),
    explains=(
        "GD103", "GD201", "GD206", "GD207", "GD208", "GD209", "GD301", "GD303", "GD304", "GD305",
        "GD401",
    ),
)  # fmt: skip
def zero(seen: Evidence, *, share: float = 0.5) -> Iterator[Finding]:
    """Yield one finding where matrices stay at zero, or more than this *share* begins there.

    It is an error where some stay, or where all begin at zero. Of matrices that no layer of torch
    holds, as positions, only those count that stay.
    """
    probes = [each for each in seen.probes if each.parameters]
    names, others = _probed(matrices(seen), probes), _probed(_beside(seen), probes)
    if len(names) + len(others) < 2 or not probes:
        return
    begun = [name for name in names if _is_zero(probes[0], name)]
    zeros = [*begun, *(name for name in others if _is_zero(probes[0], name))]
    stayed = [name for name in zeros if _is_zero(probes[-1], name) and _is_still(probes[-1], name)]
    if stayed or len(begun) > share * len(names):
        spoilt = stayed or len(begun) == len(names)
        yield _finding(seen, zeros, stayed, len(names + others), "error" if spoilt else "warning")


def _probed(names: Sequence[str], probes: Sequence[Probe]) -> list[str]:
    return [name for name in names if all(name in each.parameters for each in probes)]


def _beside(seen: Evidence) -> list[str]:
    """Return the trained matrices that no layer of torch holds, as those of adapters."""
    held = {name for each in seen.model.modules.values() for name in each.parameters}
    trained = (each for each in seen.model.parameters.values() if each.trainable and each.groups)
    return [each.name for each in trained if len(each.shape) > 1 and each.name not in held]


def _is_zero(probe: Probe, name: str) -> bool:
    return probe.parameters[name].weight_zeros == 1.0


def _is_still(probe: Probe, name: str) -> bool:
    found = probe.parameters[name]
    return not found.gradient and found.finite


def _finding(
    seen: Evidence, begun: Sequence[str], stayed: Sequence[str], count: int, severity: Severity
) -> Finding:
    worst = stayed or begun
    more = f" and {len(worst) - SHOWN} more" if len(worst) > SHOWN else ""
    still = f"; {len(stayed)} of them are zero still, without a gradient" if stayed else ""
    told = (
        f"{len(begun)} of {count} matrices had nothing but zeros before the first update{still}: "
        f"{', '.join(worst[:SHOWN])}{more}."
    )
    numbers = {"begun": len(begun), "stayed": len(stayed), "matrices": count}
    confidence = 1.0 if stayed else 0.6 + 0.4 * len(begun) / count
    where = seen.model.parameters[worst[0]].module
    return Finding(severity, confidence, told, initialized(seen, begun), numbers, where)
