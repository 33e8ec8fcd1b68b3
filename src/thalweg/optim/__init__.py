"""The torch.optim face of every rule: the same names, signatures and checkpoints."""

from thalweg.optim import lr_scheduler as lr_scheduler
from thalweg.optim.named import (
    SGD,
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
from thalweg.optim.papers import LAMB, LARS, SGDW, AdaBelief, AddSign, Lion, PowerSign, Yogi

__all__ = [
    "LAMB", "LARS", "SGD", "SGDW", "AdaBelief", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax",
    "AddSign", "Lion", "NAdam", "Optimizer", "PowerSign", "RAdam", "RMSprop", "Rprop",
    "SparseAdam", "Yogi",
]  # fmt: skip
