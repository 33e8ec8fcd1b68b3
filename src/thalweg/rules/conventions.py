"""Where libraries give one name to different rules: which variant is whose."""

from thalweg.errors import UnknownName, nearest
from thalweg.rules.adam import (
    adam,
    adam_keras,
    adamax,
    adamax_keras,
    adamax_paper,
    amsgrad,
    amsgrad_keras,
    amsgrad_optax,
    amsgrad_paper,
    nadam,
    nadam_keras,
    nadam_optax,
    nadam_paper,
    radam,
    radam_optax,
    radam_paper,
    yogi,
    yogi_optax,
)
from thalweg.rules.adaptive import (
    adadelta,
    adadelta_keras,
    adadelta_paper,
    adagrad,
    adagrad_keras,
    adagrad_optax,
    rmsprop,
    rmsprop_keras,
    rmsprop_paper,
)
from thalweg.rules.decoupled import adamw, adamw_optax, adamw_paper, sgdw, sgdw_paper
from thalweg.rules.momentum import momentum, momentum_paper, nesterov, nesterov_keras
from thalweg.rules.rule import Rule

CONVENTIONS: dict[str, dict[str, Rule]] = {
    "momentum": {"torch": momentum, "optax": momentum, "paper": momentum_paper,
                 "keras": momentum_paper},
    "nesterov": {"torch": nesterov, "optax": nesterov, "keras": nesterov_keras},
    "adagrad": {"torch": adagrad, "paper": adagrad, "optax": adagrad_optax,
                "keras": adagrad_keras},
    "adadelta": {"torch": adadelta, "optax": adadelta, "paper": adadelta_paper,
                 "keras": adadelta_keras},
    "rmsprop": {"torch": rmsprop, "paper": rmsprop_paper, "optax": rmsprop_paper,
                "keras": rmsprop_keras},
    "adam": {"torch": adam, "paper": adam, "optax": adam, "keras": adam_keras},
    "amsgrad": {"torch": amsgrad, "paper": amsgrad_paper, "optax": amsgrad_optax,
                "keras": amsgrad_keras},
    "adamax": {"torch": adamax, "optax": adamax, "paper": adamax_paper, "keras": adamax_keras},
    "nadam": {"torch": nadam, "paper": nadam_paper, "optax": nadam_optax, "keras": nadam_keras},
    "radam": {"torch": radam, "paper": radam_paper, "optax": radam_optax},
    "sgdw": {"torch": sgdw, "paper": sgdw_paper},
    "adamw": {"torch": adamw, "optax": adamw_optax, "paper": adamw_paper},
    "yogi": {"paper": yogi, "optax": yogi_optax},
}  # fmt: skip
"""For each rule whose name means several things: whose convention is which rule."""


def convention(name: str, like: str) -> Rule:
    """Return the rule that *like* means by *name*; UnknownName lists whose there are."""
    known = CONVENTIONS.get(name)
    if known is None:
        raise UnknownName(
            f"{name!r} has one form only: leave like={like!r} out. Rules with several: "
            f"{', '.join(CONVENTIONS)}."
        )
    if like not in known:
        raise UnknownName(
            f"there is no {name} like {like!r}.{nearest(str(like), known)} There is one like "
            f"{', '.join(known)}."
        )
    return known[like]
