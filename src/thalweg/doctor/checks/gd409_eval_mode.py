"""A model that is trained in eval mode neither drops out nor normalizes by its batches."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, ModuleFacts
from thalweg.doctor.finding import Finding, Severity


@check(
    code="GD409",
    name="eval mode while training",
    finds="""Updates by a model in eval mode that has dropout, or batch normalization with running
        statistics. Layers that are frozen on purpose do not count.""",
    why="""In eval mode batch normalization divides by running statistics that no longer follow the
        weights, so it normalizes nothing, and they stay what they were when training is over.
        Dropout drops nothing, so the model is not regularized. Most often `model.eval()` was called
        for a validation, and `model.train()` not called after it.""",
    fix="""Call `model.train()` at the beginning of each epoch, not only once before the first, or
        after each validation. To freeze batch normalization on purpose, freeze its parameters too
        and let the rest of the model be in training mode.""",
    reference="""PyTorch documentation, Module.train and Module.eval; Ioffe & Szegedy 2015, Batch
        normalization, arXiv:1502.03167; Srivastava et al. 2014, Dropout""",
    needs=("settings", "losses"),
    explains=(
        "GD201", "GD202", "GD203", "GD204", "GD206", "GD303", "GD304", "GD305", "GD307", "GD504",
    ),
)  # fmt: skip
def eval_mode(seen: Evidence, *, share: float = 0.05) -> Iterator[Finding]:
    """Yield a finding where more than the *share* of updates was by a model in eval mode.

    It is an error where batch normalization is affected, a warning where dropout is.
    """
    wrong = [each.number for each in seen.steps if not each.training]
    normalizing, dropping = _normalizing(seen), _dropping(seen)
    if len(wrong) > share * len(seen.steps) and (normalizing or dropping):
        yield _finding(seen, wrong, normalizing, dropping)


def _normalizing(seen: Evidence) -> list[ModuleFacts]:
    """Return the layers that keep running statistics, unless all their parameters are frozen."""
    keeping = [m for m in seen.model.modules.values() if m.settings.get("track_running_stats")]
    return [each for each in keeping if _trained(seen, each)]


def _trained(seen: Evidence, module: ModuleFacts) -> bool:
    known = [seen.model.parameters.get(name) for name in module.parameters]
    return not module.parameters or any(each.trainable for each in known if each)


def _dropping(seen: Evidence) -> list[ModuleFacts]:
    """Return the layers that would drop something, recurrent ones and attention among them."""
    return [each for each in seen.model.modules.values() if _probability(each) > 0]


def _probability(module: ModuleFacts) -> float:
    name = "p" if module.family == "dropout" else "dropout"
    found = module.settings.get(name, 0.0)
    return float(found) if isinstance(found, (int, float)) else 0.0


def _finding(
    seen: Evidence, wrong: list[int], normalizing: list[ModuleFacts], dropping: list[ModuleFacts]
) -> Finding:
    layers = normalizing or dropping
    what = "batch normalization does not follow" if normalizing else "nothing is dropped in"
    severity: Severity = "error" if normalizing else "warning"
    told = (
        f"{len(wrong):,} of {len(seen.steps):,} updates, from update {wrong[0]:,} on, were by the "
        f"model in eval mode; {what} {', '.join(each.name for each in layers[:3])}"
        f"{f' and {len(layers) - 3} more' if len(layers) > 3 else ''}."
    )
    numbers = {"updates": len(wrong), "first": wrong[0], "layers": [each.name for each in layers]}
    remedy = "model.eval() → model.train() before each epoch, and after each validation"
    return Finding(severity, 1.0, told, remedy, numbers, step=wrong[0])
