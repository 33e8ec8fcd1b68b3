"""Rules with decay apart from the gradient; they are chains, not written again."""

from thalweg.rules.adam import adam
from thalweg.rules.chain import chain
from thalweg.rules.momentum import momentum, momentum_paper
from thalweg.rules.transforms import decay, decay_by_schedule

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

adamw_optax = chain(
    adamw, key="adamw_optax", name="AdamW, optax's defaults", paper=_PAPER, arxiv="1711.05101",
    summary="AdamW with a hundredth of torch's default decay.", differences=_DIFFERENCES,
    defaults={"weight_decay": 1e-4},
)  # fmt: skip

_SCHEDULED = (
    "The decay is scaled by the schedule's multiplier lr / base_lr alone, as in the paper, so that "
    "weight_decay is a share of the parameter per update at the base rate.",
)

sgdw_paper = chain(
    momentum_paper, decay_by_schedule, key="sgdw_paper", name="SGDW, the paper's", paper=_PAPER,
    arxiv="1711.05101", summary="Momentum with weight decay that follows the schedule alone.",
    differences=_SCHEDULED,
)  # fmt: skip

adamw_paper = chain(
    adam, decay_by_schedule, key="adamw_paper", name="AdamW, the paper's", paper=_PAPER,
    arxiv="1711.05101", summary="Adam with weight decay that follows the schedule alone.",
    differences=_SCHEDULED,
)  # fmt: skip
