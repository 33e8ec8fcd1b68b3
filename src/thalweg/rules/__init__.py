"""Update rules as pure functions, in chapters; importing them does not import torch."""

from thalweg.errors import UnknownName, nearest
from thalweg.rules.adam import adam, adam_epsilon_hat, adamax, amsgrad, nadam, radam
from thalweg.rules.adaptive import (
    adadelta,
    adagrad,
    rmsprop,
    rmsprop_centered,
    rmsprop_centered_momentum,
    rmsprop_momentum,
)
from thalweg.rules.chain import chain
from thalweg.rules.decoupled import adamw, sgdw
from thalweg.rules.momentum import momentum, nesterov, sgd
from thalweg.rules.rule import Rule, rule
from thalweg.rules.sign import rprop
from thalweg.rules.transform import Transform, transform
from thalweg.rules.transforms import (
    ascend,
    clip_by_global_norm,
    clip_by_value,
    decay,
    ema_average,
    l2_decay,
)

catalogue: dict[str, Rule] = {
    each.key: each
    for each in (
        sgd, momentum, nesterov, adagrad, adadelta, rmsprop, adam, amsgrad, adamax, nadam, radam,
        rprop, sgdw, adamw,
    )
}  # fmt: skip
"""The rules by name, in order of increasing complexity."""

variants: dict[str, Rule] = {
    each.key: each
    for each in (
        rmsprop_momentum, rmsprop_centered, rmsprop_centered_momentum, adam_epsilon_hat,
    )
}  # fmt: skip
"""Named variants, which structural switches choose between."""

transforms: dict[str, Transform] = {
    each.key: each
    for each in (ascend, l2_decay, decay, clip_by_value, clip_by_global_norm, ema_average)
}
"""The transforms a chain may hold beside its rule."""


def find(name: str) -> Rule:
    """Return the rule or variant called *name*; UnknownName names the nearest where none is."""
    known = {**catalogue, **variants}
    if name not in known:
        raise UnknownName(
            f"there is no rule {name!r}.{nearest(name, known)} Known rules: {', '.join(known)}."
        )
    return known[name]


__all__ = [
    "Rule", "Transform", "adadelta", "adagrad", "adam", "adam_epsilon_hat", "adamax", "adamw",
    "amsgrad", "ascend", "catalogue", "chain", "clip_by_global_norm", "clip_by_value", "decay",
    "ema_average", "find", "l2_decay", "momentum", "nadam", "nesterov", "radam", "rmsprop",
    "rmsprop_centered", "rmsprop_centered_momentum", "rmsprop_momentum", "rprop", "rule", "sgd",
    "sgdw", "transform", "transforms", "variants",
]  # fmt: skip
