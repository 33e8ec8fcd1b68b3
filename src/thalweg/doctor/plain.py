"""A diagnosis as plain data, for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from thalweg.doctor.diagnosis import Diagnosis


def as_data(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as what JSON has: numbers that are not finite become words."""
    whole = asdict(diagnosis) | {"healthy": diagnosis.healthy}
    whole["costs"] |= {"overhead": diagnosis.costs.overhead}
    return plain(whole)


def plain(value: Any) -> Any:
    """Return a value as what JSON has."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)
