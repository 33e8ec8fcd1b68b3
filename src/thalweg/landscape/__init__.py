"""The lie of the land: a loss's curvature as linear operators, and what can be read from them."""

from thalweg.landscape.extremes import Eigenpair, Extremes, extremes
from thalweg.landscape.gauss_newton import GaussNewton
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.objective import Objective, function, objective
from thalweg.landscape.operator import Matrix, Operator

__all__ = [
    "Eigenpair", "Extremes", "GaussNewton", "Hessian", "Matrix", "Objective", "Operator",
    "extremes", "function", "objective",
]  # fmt: skip
