"""The contracts of rules, engines and optimizers, as named checks anyone can run on their own."""

from thalweg.testing.bounds import Bounded, bounded, exact
from thalweg.testing.checks import Check
from thalweg.testing.engine_checks import check_engine
from thalweg.testing.optimizer_checks import check_optimizer
from thalweg.testing.rule_checks import check_rule

__all__ = [
    "Bounded", "Check", "bounded", "check_engine", "check_optimizer", "check_rule", "exact",
]  # fmt: skip
