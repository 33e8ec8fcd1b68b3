"""Averaged weights need batch-norm statistics of their own: nobody trained with them."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding


@check(
    code="GD309",
    name="average without its statistics",
    finds="""A running average of the weights of a model with batch norms, whose running statistics
        were copied from the model and not computed anew or averaged.""",
    why="""Batch norm divides by the spread of what comes from the layers before it. With averaged
        weights that is another one than with any of the weights that were averaged, so that in
        evaluation the layers are off their scale, the more the farther apart these lay. The loss
        of the average can be worse than that of the model, and often is taken for the average's
        fault.""",
    fix="""Call `torch.optim.swa_utils.update_bn(loader, average)` after the last averaging, a pass
        over training data, or make it `AveragedModel(model, use_buffers=True)`, which suits
        exponential averages.""",
    reference="""Izmailov et al. 2018, Averaging weights leads to wider optima and better
        generalization, arXiv:1803.05407, section 3.2""",
    needs=("averages",),
)
def stale_statistics(seen: Evidence, *, least: int = 2) -> Iterator[Finding]:
    """Yield a finding for each average of at least *least* models that are not all the same."""
    for each in seen.averages:
        stale = bool(each.normalizations) and not each.reestimated
        if stale and each.averaged >= least and not each.equal:
            told = (
                f"The average of {each.averaged:,} models has {len(each.normalizations)} batch "
                "norms with the running statistics of the last one."
            )
            numbers = {"averaged": each.averaged, "norms": len(each.normalizations)}
            where = each.normalizations[0]
            yield Finding(
                "warning", 0.95, told, "update_bn(loader, average) at the end", numbers, where
            )
