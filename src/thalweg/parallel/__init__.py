"""Many workers on one problem: who talks to whom, and when."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg.parallel.hogwild.estimators import HogwildClassifier as HogwildClassifier
    from thalweg.parallel.hogwild.estimators import HogwildRegressor as HogwildRegressor
    from thalweg.parallel.hogwild.factorization import HogwildFactorization as HogwildFactorization
    from thalweg.parallel.hogwild.processes import hogwild_fit as hogwild_fit
    from thalweg.parallel.hogwild.workers import WorkerLost as WorkerLost

_HOMES = {
    "HogwildClassifier": "thalweg.parallel.hogwild.estimators",
    "HogwildRegressor": "thalweg.parallel.hogwild.estimators",
    "HogwildFactorization": "thalweg.parallel.hogwild.factorization",
    "WorkerLost": "thalweg.parallel.hogwild.workers",
    "hogwild_fit": "thalweg.parallel.hogwild.processes",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: scikit-learn for the estimators alone."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'thalweg.parallel' has no attribute {name!r}")
