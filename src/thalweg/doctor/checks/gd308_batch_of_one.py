"""Under batch norm a batch of one example is normalized by itself, and nothing sets it apart."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, ModuleFacts, Step
from thalweg.doctor.finding import Finding, change
from thalweg.doctor.places import batch_norms


@check(
    code="GD308",
    name="batch of one under batch norm",
    finds="""Batches, or parts of batches that are accumulated, of one example each, in a model with
        batch norms in training mode.""",
    why="""Batch norm then takes mean and spread of each example alone: what distinguishes one
        example from the next, its level and contrast, is divided away, and the running statistics
        that evaluation uses are averages over examples that were never used so. Accumulating
        gradients makes the update's batch larger, not the one that is normalized.""",
    fix="""Use batches of 16 or more. Where memory does not allow it, normalize without the batch
        (`nn.GroupNorm`, `nn.LayerNorm`), over processes (`nn.SyncBatchNorm`), or freeze batch norms
        that were trained before. `drop_last=True` leaves out a last batch of one.""",
    reference="Wu & He 2018, Group normalization, arXiv:1803.08494; Ioffe 2017, arXiv:1702.03275",
    needs=("settings", "losses"),
    glances=("activations",),
    explains=("GD202", "GD204", "GD205", "GD307", "GD504", "GD506"),
)
def batch_of_one(seen: Evidence, *, often: float = 0.5) -> Iterator[Finding]:
    """Yield a finding where the share *often* of the batches has one example; else a remark."""
    norms = [each for each in batch_norms(seen) if _trains(seen, each)]
    sizes = [_size(each) for each in seen.steps if each.examples]
    alone = sum(size <= 1 for size in sizes)
    if not norms or not alone:
        return
    share = alone / len(sizes)
    numbers = {"share": share, "norms": len(norms)}
    told = f"{share:.0%} of the batches had one example, under {len(norms)} batch norms."
    remedy = f"{change('batch_size', 1, 32)}, or {_groups(norms[0])}"
    if share >= often:
        yield Finding("error", 1.0, told, remedy, numbers, norms[0].name)
    else:
        yield Finding("remark", 0.8, told, "DataLoader(..., drop_last=True)", numbers)


def _trains(seen: Evidence, norm: ModuleFacts) -> bool:
    """Whether it was in training mode when it was looked at, or as far as is known."""
    probed = [each.layers[norm.name] for each in seen.probes if norm.name in each.layers]
    return not probed or any(each.training for each in probed)


def _size(step: Step) -> float:
    """Return how many examples were normalized together."""
    return (step.examples or 0) / max(step.backwards, 1)


def _groups(norm: ModuleFacts) -> str:
    features = norm.settings.get("num_features", 32)
    groups = next(count for count in (8, 4, 2, 1) if features % count == 0)
    return f"nn.{norm.kind}({features}) → nn.GroupNorm({groups}, {features})"
