"""What optimizers are tried on: each problem brings its data, its model and what is known of it."""

import os
from collections.abc import Callable
from functools import partial

from thalweg.errors import UnknownName, nearest
from thalweg.problems import (
    autoencoder,
    characters,
    cifar10,
    digits,
    mnist,
    rbm,
    sparse_text,
    surfaces,
)
from thalweg.problems.checks import check_apart, check_data, check_model, validate
from thalweg.problems.definition import define
from thalweg.problems.file import load_file
from thalweg.problems.problem import Data, Loss, OwnGradient, Problem, Split, own_gradient
from thalweg.problems.scaling import Scaling, fit_scaling
from thalweg.problems.surfaces import Surface, as_problem
from thalweg.problems.template import write_template

__all__ = [
    "Data", "Loss", "OwnGradient", "Problem", "Scaling", "Split", "Surface", "catalogue",
    "check_apart", "check_data", "check_model", "define", "find", "fit_scaling", "load",
    "load_file", "own_gradient", "surfaces", "validate", "write_template",
]  # fmt: skip

catalogue: dict[str, Callable[[], Problem]] = {
    "digits": digits.load,
    "mnist": mnist.load,
    "autoencoder": autoencoder.load,
    "rbm": rbm.load,
    "cifar10": cifar10.load,
    "char_lstm": characters.load_lstm,
    "char_transformer": characters.load_transformer,
    "sparse_text": sparse_text.load,
    **{name: partial(as_problem, surface) for name, surface in surfaces.catalogue.items()},
}


def find(name: str) -> Callable[[], Problem]:
    """Return the loader of the problem called ``name``, or of the problem file ``name``.

    A name that ends in ``.py`` is the path of a problem file. Raises UnknownName for any other that
    is not in the catalogue. Nothing is read before the loader is called.
    """
    if name.endswith(".py"):
        return partial(load_file, name)
    if name not in catalogue:
        known = ", ".join(catalogue)
        raise UnknownName(
            f"there is no problem {name!r}.{nearest(name, catalogue)} Known problems: {known}; "
            "or the path of a problem file, which ends in .py."
        )
    return catalogue[name]


def load(name: str) -> Problem:
    """Return the problem called ``name``, or that of the problem file ``name``, data in memory.

    Raises UnknownName for a name that is not in the catalogue, BadFile for data that cannot be
    found or read and for a problem file that fails.
    """
    source = os.path.abspath(name) if name.endswith(".py") else name
    return find(name)().from_source(source)
