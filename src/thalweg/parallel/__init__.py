
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg.parallel.hogwild.estimators import HogwildClassifier as HogwildClassifier
    from thalweg.parallel.hogwild.estimators import HogwildRegressor as HogwildRegressor

_HOMES = {
    "HogwildClassifier": "thalweg.parallel.hogwild.estimators",
    "HogwildRegressor": "thalweg.parallel.hogwild.estimators",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: scikit-learn for the estimators alone."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'thalweg.parallel' has no attribute {name!r}")
