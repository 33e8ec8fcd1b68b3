"""A number that is not finite ends a training: all that is computed from it is lost."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, NonFinite
from thalweg.doctor.finding import Finding, change, short

CARE = {
    "input": "clean the data: drop or replace NaN and infinite values",
    "loss": "compute the loss from logits or log-probabilities, or add eps inside its log or root",
    "output": "add eps inside the log, root or division of {where}, or clamp its input",
    "gradient": "add eps inside roots and norms behind {where}: their slope at zero is infinite",
    "weight": "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
}
"""What to change where no step was too large."""


@check(
    code="GD101",
    name="not a number",
    finds="""A loss, gradient, weight, input or output of a module that is NaN or infinite, with the
        first update and the first module or parameter where it was seen.""",
    why="""Everything computed from it is NaN as well, and one update later all weights are. The
        loss shows it last; the module that made it is where to look.""",
    fix="""Where the loss had grown before: lower the learning rate, warm it up, clip the gradient.
        Where it had not: look at the module that is named for logarithms, roots and divisions of
        numbers that can be zero, and at the data for values that are missing. `torch.where` does
        not help when the branch that is not taken has an infinite slope.""",
    reference="""Goodfellow, Bengio & Courville 2016, Deep learning, sections 4.1 (overflow and
        underflow) and 8.2.4 (cliffs); PyTorch documentation, Autograd mechanics""",
    needs=("losses",),
    glances=("gradients",),
    explains=("GD202", "GD203", "GD302", "GD401"),
)
def nonfinite(seen: Evidence, *, grown: float = 3.0) -> Iterator[Finding]:
    """Yield one finding for the first number that is not finite.

    Where the loss had grown *grown*-fold above its lowest before that, the step was too large.
    """
    found = seen.nonfinite
    if found is None:
        return
    rose = _growth(seen, found)
    large = rose >= grown and found.what != "input"
    told = f"{_what(found)} at update {found.step:,}{_before(found, rose if large else 0.0)}."
    numbers = {"what": found.what, "before": found.before, "growth": rose}
    remedy = _slower(seen) if large else CARE[found.what].format(where=found.where)
    yield Finding("error", 1.0, told, remedy, numbers, found.where, found.step)


def _growth(seen: Evidence, found: NonFinite) -> float:
    """Return how far the last losses stood above the lowest, as a ratio."""
    losses = seen.losses.finite
    losses = losses[losses.steps <= found.step]
    if len(losses) < 2:
        return 1.0
    lowest, last = float(losses.values.min()), float(losses.tail(0.02).values.max())
    return last / lowest if lowest > 0 else 1.0


def _what(found: NonFinite) -> str:
    match found.what:
        case "input":
            return f"The {found.where or 'input'} of the model had a value that is not finite"
        case "output":
            return f"{found.where} ({found.kind}) made a number that is not finite of finite ones"
        case "gradient":
            return f"The loss was finite, but the gradient of {found.where} ({found.kind}) was not"
        case "weight":
            return f"The update left values in {found.where} ({found.kind}) that are not finite"
        case _:
            return "All modules put out finite numbers, but the loss was not finite"


def _before(found: NonFinite, rose: float) -> str:
    if found.before is None:
        return ""
    return f"; the last loss was {short(found.before)}" + (
        f", {short(rose)} times its lowest" if rose else ""
    )


def _slower(seen: Evidence) -> str:
    rates = seen.lrs()
    if not len(rates):
        return CARE["weight"]
    return f"{change('lr', max(rates.values), max(rates.values) / 10)}, or {CARE['weight']}"
