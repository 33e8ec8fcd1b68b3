"""Every engine gives every rule's numbers, within the rounding that the rule's operations allow."""

import pytest
import torch

from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.kernels.eager import EagerLaunch
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
from thalweg.testing import check_engine

CHAINS = [
    chain(l2_decay, catalogue["adam"]),
    chain(ascend, clip_by_value, catalogue["nesterov"], decay),
    chain(clip_by_global_norm, decay, catalogue["adam"], ema_average),
    chain(clip_by_global_norm, catalogue["nadam"]),
]
RULES = [*catalogue.values(), *variants.values(), *CHAINS]


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{engine.__name__} {rule.key} {dtype}: {check}")
        for engine in (EagerLaunch, CpuLaunch)
        for dtype in (torch.float32, torch.float64)
        for rule in RULES
        for check in check_engine(engine, rule, dtype)
    ],
)
def test_engine_contract(check):
    check()
