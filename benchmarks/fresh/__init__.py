"""Trainings as users write them, ill and healthy, made by somebody who had not seen the checks."""

from fresh import batches, healthy, layers, loops, numbers, rates
from fresh.registry import Run, runs

__all__ = ["Run", "batches", "healthy", "layers", "loops", "numbers", "rates", "runs"]
