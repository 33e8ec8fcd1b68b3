"""The lie of the land: a loss's curvature as linear operators, and what can be read from them."""

from thalweg.landscape.ablation import Ablation, Importance, ablation, unit_importance
from thalweg.landscape.condition import condition
from thalweg.landscape.critical import CriticalPoint, critical_point
from thalweg.landscape.density import Density, density
from thalweg.landscape.estimate import Estimate
from thalweg.landscape.extremes import Eigenpair, Extremes, extremes
from thalweg.landscape.gauss_newton import GaussNewton
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.labels import LabelRandomization, LearningCurve, label_randomization
from thalweg.landscape.newton import NewtonState, damped_newton, saddle_free_newton
from thalweg.landscape.noise import (
    BatchVariance,
    GradientNoise,
    batch_variance,
    expected_variance,
    gradient_noise,
    noise_of,
)
from thalweg.landscape.objective import Objective, function, objective
from thalweg.landscape.operator import Matrix, Operator
from thalweg.landscape.quadratic import BestSetting, Dynamics, best_setting, dynamics
from thalweg.landscape.scaled import Scaled, preconditioned
from thalweg.landscape.segment import Segment, segment
from thalweg.landscape.sharpness import Sharpness, sharpness
from thalweg.landscape.slices import (
    Slice,
    Trajectory,
    filter_normalized,
    loss_slice,
    random_directions,
    trajectory,
)
from thalweg.landscape.stability import StableRate, stable_limit, stable_rate
from thalweg.landscape.trace import trace

__all__ = [
    "Ablation", "BatchVariance", "BestSetting", "CriticalPoint", "Density", "Dynamics", "Eigenpair",
    "Estimate", "Extremes", "GaussNewton", "GradientNoise", "Hessian", "Importance",
    "LabelRandomization", "LearningCurve", "Matrix", "NewtonState", "Objective", "Operator",
    "Scaled", "Segment", "Sharpness", "Slice", "StableRate", "Trajectory",
    "ablation", "batch_variance", "best_setting", "condition", "critical_point",
    "damped_newton", "density", "dynamics", "expected_variance", "extremes", "filter_normalized",
    "function",
    "gradient_noise", "label_randomization", "loss_slice", "noise_of", "objective",
    "preconditioned", "random_directions", "saddle_free_newton", "segment", "sharpness",
    "stable_limit", "stable_rate", "trace", "trajectory", "unit_importance",
]  # fmt: skip
