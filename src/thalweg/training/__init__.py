"""Training that can be read in five minutes, killed at any moment, and resumed bit for bit."""

from thalweg.training.averaging import Average, Ema, PolyakTail, Swa
from thalweg.training.batch_norm import StaleStatistics, mark, reestimate
from thalweg.training.checkpoints import Checkpoints
from thalweg.training.evaluation import Evaluation, evaluate
from thalweg.training.fit import fit
from thalweg.training.history import Epoch, Result
from thalweg.training.interrupts import Interrupted
from thalweg.training.order import InOrder, Order, Shuffled
from thalweg.training.plateau import ReduceOnPlateau
from thalweg.training.snapshots import Ensemble, Snapshots, load_ensemble
from thalweg.training.stopping import EarlyStopping
from thalweg.training.strategy import Strategy

__all__ = [
    "Average", "Checkpoints", "EarlyStopping", "Ema", "Ensemble", "Epoch", "Evaluation", "InOrder",
    "Interrupted", "Order", "PolyakTail", "ReduceOnPlateau", "Result", "Shuffled", "Snapshots",
    "StaleStatistics", "Strategy", "Swa", "evaluate", "fit", "load_ensemble", "mark", "reestimate",
]  # fmt: skip
