"""What optimizers are tried on: each problem brings its data, its model and what is known of it."""

from collections.abc import Callable

from thalweg.errors import UnknownName, nearest
from thalweg.problems import digits, mnist
from thalweg.problems.problem import Problem, Split

__all__ = ["Problem", "Split", "catalogue", "find", "load"]

catalogue: dict[str, Callable[[], Problem]] = {"digits": digits.load, "mnist": mnist.load}


def find(name: str) -> Callable[[], Problem]:
    """Return the loader of the problem called ``name``, or raise UnknownName.

    Nothing is read before the loader is called.
    """
    if name not in catalogue:
        known = ", ".join(catalogue)
        raise UnknownName(
            f"there is no problem {name!r}.{nearest(name, catalogue)} Known problems: {known}."
        )
    return catalogue[name]


def load(name: str) -> Problem:
    """Return the problem called ``name`` with its data in memory.

    Raises UnknownName for a name that is not in the catalogue and BadFile for data that cannot be
    found or read.
    """
    return find(name)()
