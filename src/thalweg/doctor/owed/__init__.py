"""What is measured when a run is over: on batches that were kept, with the loss as a function."""

from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.settle import Settled, settle

__all__ = ["Case", "Settled", "settle"]
