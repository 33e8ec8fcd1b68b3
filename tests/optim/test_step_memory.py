"""A step needs no memory beyond its state, and holds on to nothing that others have let go."""

import gc
import tracemalloc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from twins import NAMES, build, leaf

import thalweg
from thalweg import optim
from thalweg.rules import adam, chain, clip_by_global_norm, decay

COUNT = 300_000
CLIPPED = chain(clip_by_global_norm, adam, decay)

Make = Callable[[list[Tensor]], Any]

MAKES: dict[str, Make] = {
    **{name: partial(build, optim, name) for name in (*NAMES, "SGDW", "SparseAdam")},
    "a chain that clips": partial(thalweg.Optimizer, rule=CLIPPED),
}


def stepped(make: Make, count: int = COUNT) -> tuple[Any, Tensor]:
    """Return an optimizer after two steps, and its one parameter, which has a gradient."""
    p = leaf(torch.linspace(-1, 1, count))
    optimizer = make([p])
    p.grad = torch.ones_like(p).detach()
    optimizer.step()
    optimizer.step()
    return optimizer, p


def allocated(optimizer: Any) -> int:
    """Return how many bytes a step allocates for tensors, whether or not it frees them again."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        optimizer.step()
    return sum(max(0, each.self_cpu_memory_usage) for each in found.events() or ())


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_a_step_allocates_no_tensors(make: Make) -> None:
    optimizer, _ = stepped(make)
    assert allocated(optimizer) == 0


def test_the_profile_would_show_what_is_allocated() -> None:
    optimizer, _ = stepped(lambda params: torch.optim.Adam(params, foreach=False))
    assert allocated(optimizer) >= 4 * COUNT


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_a_step_allocates_next_to_nothing_outside_torch(make: Make) -> None:
    optimizer, _ = stepped(make)
    tracemalloc.start()
    try:
        for _ in range(3):
            optimizer.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * COUNT / 50


SLOTS = {"SGD": 0, "Adagrad": 1, "Adadelta": 2, "RMSprop": 1, "Adam": 2, "AdamW": 2, "Adamax": 2,
         "NAdam": 2, "RAdam": 2, "Rprop": 2, "SGDW": 1, "SparseAdam": 2}  # fmt: skip


@pytest.mark.parametrize("name", SLOTS)
def test_the_state_is_as_large_as_the_paper_says(name: str) -> None:
    optimizer, p = stepped(MAKES[name])
    sizes = [value.nbytes for value in optimizer.state[p].values()]
    assert sum(size for size in sizes if size > 4) == SLOTS[name] * p.nbytes


def gradient_of(p: Tensor, kind: str) -> Tensor:
    g = torch.ones(p.shape)
    return g.t().contiguous().t() if kind == "in another order" else g


@pytest.mark.parametrize("kind", ["compiled", "in another order", "eager"])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_gradient_that_was_cleared_is_not_kept_alive(name: str, kind: str) -> None:
    values = torch.ones(8, 12)[:, ::2] if kind == "eager" else torch.ones(8, 6)
    p, other = leaf(values), leaf(torch.ones(3))
    optimizer = build(optim, name, [p, other])
    for _ in range(3):
        g = gradient_of(p, kind)
        p.grad, other.grad = g, torch.ones(3)
        optimizer.step()
        kept = weakref.ref(g)
        optimizer.zero_grad()
        del g
        assert kept() is None
        other.grad = torch.ones(3)
        optimizer.step()


@pytest.mark.parametrize("end", ["refused", "skipped"])
def test_gradients_of_a_step_that_did_not_happen_are_not_kept_alive(end: str) -> None:
    p, other = leaf(torch.ones(8, 6)), leaf(torch.ones(3, 1))
    optimizer = thalweg.Optimizer([p, other], "adam", nonfinite="skip")
    for _ in range(2):
        p.grad, other.grad = torch.ones(8, 6), torch.ones(3, 1)
        optimizer.step()
    g = gradient_of(p, "in another order")
    p.grad = g
    bad = torch.full((3, 1), torch.inf)
    other.grad = torch.ones(3, 1).to_sparse() if end == "refused" else bad
    if end == "refused":
        with pytest.raises(TypeError, match="sparse"):
            optimizer.step()
    else:
        optimizer.step()
    kept = weakref.ref(g)
    optimizer.zero_grad()
    del g
    p.grad, other.grad = torch.ones(8, 6), torch.ones(3, 1)
    optimizer.step()
    assert kept() is None


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_an_optimizer_and_its_parameters_go_when_nobody_holds_them(make: Make) -> None:
    """No cache of plans, kernels or launches keeps a model alive."""
    optimizer, p = stepped(make, 100)
    kept = [weakref.ref(optimizer), weakref.ref(p)]
    del optimizer, p
    gc.collect()
    assert [each() for each in kept] == [None, None]


def test_a_parameter_taken_out_is_let_go_at_the_next_step() -> None:
    p, other = leaf(torch.ones(5)), leaf(torch.ones(3))
    optimizer = optim.Adam([p, other])
    p.grad, other.grad = torch.ones(5), torch.ones(3)
    optimizer.step()
    del optimizer.param_groups[0]["params"][0], optimizer.state[p]
    optimizer.step()
    kept = weakref.ref(p)
    del p
    gc.collect()
    assert kept() is None
