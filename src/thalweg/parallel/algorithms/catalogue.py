"""The algorithms by name, with the settings of their papers where these have any."""

from __future__ import annotations

from thalweg.errors import UnknownName, nearest
from thalweg.parallel.algorithms.algorithm import Algorithm
from thalweg.parallel.algorithms.downpour import Downpour
from thalweg.parallel.algorithms.elastic import Elastic
from thalweg.parallel.algorithms.local import LocalUpdates, diloco
from thalweg.parallel.algorithms.synchronous import Synchronous

catalogue: dict[str, Algorithm] = {
    "synchronous": Synchronous(),
    "downpour": Downpour(),
    "adaptive_revision": Downpour("adaptive_revision"),
    "easgd": Elastic(),
    "eamsgd": Elastic(lr=1e-3, momentum=0.99),
    "sync_easgd": Elastic(synchronous=True),
    "local_sgd": LocalUpdates(),
    "diloco": diloco(),
}
"""Set anything else with ``dataclasses.replace(catalogue[name], lr=0.1)``."""


def find(name: str) -> Algorithm:
    """Return the algorithm called *name*; UnknownName names the nearest where there is none."""
    if name not in catalogue:
        raise UnknownName(
            f"there is no parallel algorithm {name!r}.{nearest(str(name), catalogue)} Known "
            f"algorithms: {', '.join(catalogue)}."
        )
    return catalogue[name]
