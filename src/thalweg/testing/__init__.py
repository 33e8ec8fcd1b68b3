"""The contracts of rules, engines, optimizers, operators and problems, as named checks."""

from thalweg.testing.bounds import Bounded, bounded, exact
from thalweg.testing.checks import Check
from thalweg.testing.engine_checks import check_engine
from thalweg.testing.operator_checks import check_operator
from thalweg.testing.optimizer_checks import check_optimizer
from thalweg.testing.problem_checks import check_problem, check_surface
from thalweg.testing.rule_checks import check_rule

__all__ = [
    "Bounded", "Check", "bounded", "check_engine", "check_operator", "check_optimizer",
    "check_problem", "check_rule", "check_surface", "exact",
]  # fmt: skip
