"""The torch.optim face of every rule: the same names, signatures and checkpoints."""

from thalweg.optim.named import (
    SGD,
    SGDW,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
)
from thalweg.optim.optimizer import Optimizer

__all__ = [
    "SGD", "SGDW", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam",
    "RMSprop", "Rprop", "SparseAdam",
]  # fmt: skip
