"""A step gives the same bits on any number of threads and in any kind of process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor
from twins import assert_same_bits, leaf

import thalweg
from thalweg.rules import Rule, adam, chain, clip_by_global_norm, decay

SIZES = (700_001, 1, 299_998)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def trained(rule: Rule, threads: list[int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return parameters and state after one step on each of these numbers of threads."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    params = [leaf(torch.randn(n, generator=generator).to(dtype)) for n in SIZES]
    optimizer = thalweg.Optimizer(params, rule)
    for number in threads:
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator).to(dtype)
        torch.set_num_threads(number)
        optimizer.step()
        torch.set_num_threads(1)
    return [*params, *(v for entry in optimizer.state.values() for v in entry.values())]


RULES = {
    "adam": adam,
    "clipped": chain(clip_by_global_norm, adam, decay),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_number_of_threads_changes_no_bit(rule: str, dtype: torch.dtype) -> None:
    """Norms are summed chunk by chunk in a fixed order, whichever thread takes a chunk."""
    one = trained(RULES[rule], [1, 1, 1], dtype)
    assert_same_bits(trained(RULES[rule], [2, 2, 2], dtype), one)
    assert_same_bits(trained(RULES[rule], [2, 1, 3], dtype), one)


def test_optimizers_in_several_threads_of_python_do_not_disturb_each_other() -> None:
    def run(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        p = leaf(torch.randn(40_000, generator=generator))
        optimizer = thalweg.Optimizer([p], RULES["clipped"])
        for _ in range(20):
            p.grad = torch.randn(p.shape, generator=generator)
            optimizer.step()
        return p

    torch.set_num_threads(2)
    alone = [run(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, range(4)))
    assert_same_bits(together, alone)


def test_forked_and_spawned_processes_give_the_same_bits() -> None:
    """A hang in a child ends by the time limit, as a failure."""
    others = ["spawned", *(["forked"] if hasattr(os, "fork") else [])]
    script = Path(__file__).with_name("processes.py")
    answer = subprocess.run(
        [sys.executable, str(script), "here", *others],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    digests = json.loads(answer.stdout)
    assert len(digests["here"]) == 64
    assert digests == dict.fromkeys(["here", *others], digests["here"])
