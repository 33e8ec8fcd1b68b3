"""Training that can be read in five minutes, killed at any moment, and resumed bit for bit."""

from thalweg.training.checkpoints import Checkpoints
from thalweg.training.costing import Cost, costs
from thalweg.training.curriculum import Curriculum
from thalweg.training.evaluation import Evaluation, evaluate
from thalweg.training.fitting import fit
from thalweg.training.history import Epoch, Result
from thalweg.training.interrupts import Interrupted
from thalweg.training.order import InOrder, Order, Shuffled
from thalweg.training.restarts import Restart, Restarts, Spread, random_restarts
from thalweg.training.sampling import class_balanced, sampled, weighted
from thalweg.training.strategy import Strategy

__all__ = [
    "Checkpoints", "Cost", "Curriculum", "Epoch", "Evaluation", "InOrder", "Interrupted", "Order",
    "Restart", "Restarts", "Result", "Shuffled", "Spread", "Strategy", "class_balanced", "costs",
    "evaluate", "fit", "random_restarts", "sampled", "weighted",
]  # fmt: skip
