"""Rules with decay apart from the gradient; they are chains, not written again."""

from thalweg.rules.adam import adam
from thalweg.rules.chain import chain
from thalweg.rules.momentum import momentum
from thalweg.rules.transforms import decay

_PAPER = "Loshchilov & Hutter 2019, Decoupled weight decay regularization"
_DIFFERENCES = (
    "The decay is scaled by lr, as in torch and optax; the paper scales it by the schedule's "
    "multiplier alone, so there a smaller lr does not weaken it.",
    "Both terms read the parameter as it was before the step.",
)

sgdw = chain(
    momentum, decay, key="sgdw", name="SGDW", paper=_PAPER, arxiv="1711.05101",
    summary="Momentum with decoupled weight decay.", differences=_DIFFERENCES,
)  # fmt: skip

adamw = chain(
    adam, decay, key="adamw", name="AdamW", paper=_PAPER, arxiv="1711.05101",
    summary="Adam with decoupled weight decay.", differences=_DIFFERENCES,
)  # fmt: skip
