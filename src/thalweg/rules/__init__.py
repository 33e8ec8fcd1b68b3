"""Update rules as pure functions, in chapters; importing them does not import torch."""

from thalweg.errors import BadType, UnknownName, nearest
from thalweg.rules.adam import (
    adabelief,
    adam,
    adam_eps_inside,
    adam_keras,
    adam_uncorrected,
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
    rmsprop_centered,
    rmsprop_centered_momentum,
    rmsprop_keras,
    rmsprop_momentum,
    rmsprop_paper,
)
from thalweg.rules.chain import chain
from thalweg.rules.conventions import CONVENTIONS, convention
from thalweg.rules.decoupled import adamw, adamw_optax, adamw_paper, sgdw, sgdw_paper
from thalweg.rules.delay import adaptive_revision
from thalweg.rules.layerwise import lamb, lars
from thalweg.rules.momentum import momentum, momentum_paper, nesterov, nesterov_keras, sgd
from thalweg.rules.rule import Rule, rule
from thalweg.rules.sign import (
    addsign,
    addsign_cosine,
    addsign_linear,
    addsign_restart,
    lion,
    powersign,
    powersign_cosine,
    powersign_linear,
    powersign_restart,
    rprop,
)
from thalweg.rules.transform import Transform, transform
from thalweg.rules.transforms import (
    add_noise,
    ascend,
    caution,
    centre,
    clip_by_global_norm,
    clip_by_value,
    corrected_decay,
    decay,
    decay_by_schedule,
    ema_average,
    independent_decay,
    l2_decay,
    polyak_average,
    trust_ratio,
)

catalogue: dict[str, Rule] = {
    each.key: each
    for each in (
        sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam, amsgrad, adamax, nadam, radam,
        adabelief, yogi, rprop, powersign, addsign, lion, sgdw, adamw, lars, lamb,
        adaptive_revision,
    )
}  # fmt: skip
"""The rules by name, in order of increasing complexity."""

variants: dict[str, Rule] = {
    each.key: each
    for each in (
        momentum_paper, nesterov_keras, adagrad_optax, adagrad_keras, adadelta_paper,
        adadelta_keras, rmsprop_paper, rmsprop_keras, rmsprop_momentum, rmsprop_centered,
        rmsprop_centered_momentum, adam_keras, adam_eps_inside, adam_uncorrected, amsgrad_paper,
        amsgrad_optax, amsgrad_keras, adamax_paper, adamax_keras, nadam_paper, nadam_optax,
        nadam_keras, radam_paper, radam_optax, yogi_optax, powersign_linear, powersign_cosine,
        powersign_restart, addsign_linear, addsign_cosine, addsign_restart, sgdw_paper,
        adamw_optax, adamw_paper,
    )
}  # fmt: skip
"""Named variants, which structural switches and conventions (*like*) choose between."""

transforms: dict[str, Transform] = {
    each.key: each
    for each in (
        ascend, l2_decay, decay, decay_by_schedule, independent_decay, corrected_decay, centre,
        clip_by_value, clip_by_global_norm, add_noise, caution, trust_ratio, ema_average,
        polyak_average,
    )
}  # fmt: skip
"""The transforms a chain may hold beside its rule."""


def find(name: str, like: str | None = None) -> Rule:
    """Return the rule or variant called *name*; UnknownName names the nearest where none is.

    *like* asks for the convention of ``torch``, ``optax``, ``keras`` or the ``paper``, where they
    mean different rules by one name.
    """
    known = {**catalogue, **variants}
    if not isinstance(name, str):
        raise BadType(f"a rule's name is a text such as 'adam', not {type(name).__name__}.")
    if name not in known:
        raise UnknownName(
            f"there is no rule {name!r}.{nearest(name, known)} Known rules: {', '.join(known)}."
        )
    return known[name] if like is None else convention(name, like)


__all__ = [
    "CONVENTIONS", "Rule", "Transform", "adabelief", "adadelta", "adadelta_keras", "adadelta_paper",
    "adagrad", "adagrad_keras", "adagrad_optax", "adam", "adam_eps_inside", "adam_keras",
    "adam_uncorrected", "adamax", "adamax_keras", "adamax_paper", "adamw", "adamw_optax",
    "adamw_paper", "adaptive_revision", "add_noise", "addsign", "addsign_cosine", "addsign_linear",
    "addsign_restart", "amsgrad", "amsgrad_keras", "amsgrad_optax", "amsgrad_paper", "ascend",
    "catalogue", "caution", "centre", "chain", "clip_by_global_norm", "clip_by_value", "convention",
    "corrected_decay", "decay", "decay_by_schedule", "ema_average", "find", "independent_decay",
    "l2_decay", "lamb", "lars", "lion", "momentum", "momentum_paper", "nadam", "nadam_keras",
    "nadam_optax", "nadam_paper", "nesterov", "nesterov_keras", "polyak_average", "powersign",
    "powersign_cosine", "powersign_linear", "powersign_restart", "radam", "radam_optax",
    "radam_paper", "rmsprop", "rmsprop_centered", "rmsprop_centered_momentum", "rmsprop_keras",
    "rmsprop_momentum", "rmsprop_paper", "rprop", "rule", "sgd", "sgdw", "sgdw_paper", "transform",
    "transforms", "trust_ratio", "variants", "yogi", "yogi_optax",
]  # fmt: skip
