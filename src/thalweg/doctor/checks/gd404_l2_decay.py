"""L2 decay under an adaptive rule decays the wrong weights: those with small gradients most."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, short


@check(
    code="GD404",
    name="L2 where decoupled decay was meant",
    finds="""An adaptive rule (Adam, RMSprop, Adagrad and their like) with a weight decay that is
        added to the gradient.""",
    why="""The decay is then divided by the running size of the gradient as the gradient is, so
        that weights with large gradients hardly decay, and weights with small ones decay at the
        full learning rate whatever the decay says. Decoupled decay shrinks all weights alike and
        can be tuned apart from the learning rate.""",
    fix="""Use the decoupled form: AdamW in place of Adam, or `decoupled_weight_decay=True` where
        the optimizer has it. Tune the decay anew: a decoupled decay of 0.01 is a common start.""",
    reference="Loshchilov & Hutter 2019, Decoupled weight decay regularization, arXiv:1711.05101",
    needs=("settings",),
)
def l2_decay(seen: Evidence, *, least: float = 1e-6) -> Iterator[Finding]:
    """Yield a finding for each group whose decay is at least *least*, where it is added."""
    optimizer = seen.optimizer
    if not optimizer.adaptive or optimizer.decay != "l2":
        return
    for number, group in enumerate(optimizer.groups):
        decay = float(group.settings.get("weight_decay", 0.0))
        if decay >= least:
            yield Finding(
                "warning",
                1.0,
                f"{optimizer.kind} adds weight_decay={short(decay)} to the gradient and then "
                "divides both by the gradient's size, so the weights do not decay by it.",
                f"{optimizer.kind}(weight_decay={short(decay)}) → {decoupled(optimizer.kind)}",
                {"weight_decay": decay},
                f"group {number}",
            )


def decoupled(kind: str) -> str:
    """Return the optimizer to use in place of an adaptive one with L2 decay."""
    if kind in ("NAdam", "RAdam"):
        return f"{kind}(weight_decay=0.01, decoupled_weight_decay=True)"
    return "AdamW(weight_decay=0.01)"
