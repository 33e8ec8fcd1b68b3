"""Training that can be read in five minutes, killed at any moment, and resumed bit for bit."""

from thalweg.training.checkpoints import Checkpoints
from thalweg.training.costing import Cost, costs
from thalweg.training.data.curriculum import Curriculum
from thalweg.training.data.order import InOrder, Order, Shuffled
from thalweg.training.data.sampling import class_balanced, sampled, weighted
from thalweg.training.evaluation import Evaluation, evaluate
from thalweg.training.fitting import fit
from thalweg.training.history import Epoch, Result
from thalweg.training.interrupts import Interrupted
from thalweg.training.restarts import Restart, Restarts, Spread, random_restarts
from thalweg.training.strategies.averaging import Average, Ema, PolyakTail, Swa
from thalweg.training.strategies.batch_norm import StaleStatistics, mark, reestimate
from thalweg.training.strategies.plateau import ReduceOnPlateau
from thalweg.training.strategies.snapshots import Ensemble, Snapshots, load_ensemble
from thalweg.training.strategies.stopping import EarlyStopping
from thalweg.training.strategies.strategy import Strategy
from thalweg.training.study.experiment import train_problem, unfinished
from thalweg.training.study.notes import Listener
from thalweg.training.study.settings import Settings
from thalweg.training.study.trained import Study, Trained
from thalweg.training.weights import save_weights

__all__ = [
    "Average", "Checkpoints", "Cost", "Curriculum", "EarlyStopping", "Ema", "Ensemble", "Epoch",
    "Evaluation", "InOrder", "Interrupted", "Listener", "Order", "PolyakTail", "ReduceOnPlateau",
    "Restart", "Restarts", "Result", "Settings", "Shuffled", "Snapshots", "Spread",
    "StaleStatistics", "Strategy", "Study", "Swa", "Trained", "class_balanced", "costs", "evaluate",
    "fit", "load_ensemble", "mark", "random_restarts", "reestimate", "sampled", "save_weights",
    "train_problem", "unfinished", "weighted",
]  # fmt: skip
