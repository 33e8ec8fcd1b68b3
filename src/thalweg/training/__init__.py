"""Training that can be read in five minutes, killed at any moment, and resumed bit for bit."""

from thalweg.training.checkpoints import Checkpoints
from thalweg.training.evaluation import Evaluation, evaluate
from thalweg.training.experiment import train_problem, unfinished
from thalweg.training.fit import fit
from thalweg.training.history import Epoch, Result
from thalweg.training.interrupts import Interrupted
from thalweg.training.notes import Listener
from thalweg.training.order import InOrder, Order, Shuffled
from thalweg.training.settings import Settings
from thalweg.training.strategy import Strategy
from thalweg.training.trained import Study, Trained
from thalweg.training.weights import save_weights

__all__ = [
    "Checkpoints", "Epoch", "Evaluation", "InOrder", "Interrupted", "Listener", "Order", "Result",
    "Settings", "Shuffled", "Strategy", "Study", "Trained", "evaluate", "fit", "save_weights",
    "train_problem", "unfinished",
]  # fmt: skip
