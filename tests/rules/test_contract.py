"""Every rule, variant and chain keeps the public contract of rules."""

import pytest

from thalweg.rules import (
    ascend,
    catalogue,
    chain,
    clip_by_global_norm,
    clip_by_value,
    decay,
    ema_average,
    l2_decay,
    variants,
)
from thalweg.testing import check_rule

CHAINS = [
    chain(l2_decay, catalogue["adam"]),
    chain(ascend, l2_decay, catalogue["momentum"]),
    chain(clip_by_value, catalogue["nesterov"], decay),
    chain(clip_by_global_norm, decay, catalogue["adam"], ema_average),
]
RULES = [*catalogue.values(), *variants.values(), *CHAINS]


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{rule.key}: {check}")
        for rule in RULES
        for check in check_rule(rule)
    ],
)
def test_rule_contract(check):
    check()
