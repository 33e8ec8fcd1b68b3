"""Parameters that are more than memory: wrappers, other forms, other dtypes of gradient."""

import cProfile
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import thalweg
from thalweg import optim
from thalweg.errors import BadValue
from thalweg.rules import chain, rule, sgd, transform


def test_fake_tensors_take_a_step_without_touching_memory():
    with FakeTensorMode():
        p = nn.Parameter(torch.zeros(4))
        p.grad = torch.ones(4)
        optim.SGD([p]).step()
        assert p.shape == (4,)


SHARDED = """
    import os, torch, torch.distributed as dist
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import init_device_mesh
    from thalweg.optim import AdamW
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    store = dist.HashStore()
    dist.init_process_group("gloo", rank=0, world_size=1, store=store)
    torch.manual_seed(0)
    sharded = torch.nn.Linear(4, 4)
    plain = torch.nn.Linear(4, 4)
    plain.load_state_dict(sharded.state_dict())
    fully_shard(sharded, mesh=init_device_mesh("cpu", (1,)))
    for model in (sharded, plain):
        optimizer = AdamW(model.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(2, 4)).square().sum().backward()
            optimizer.step()
    print((sharded.weight.to_local() - plain.weight).abs().max().item() < 1e-6)
"""


def test_sharded_parameters_are_updated_like_plain_ones():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SHARDED)],
        capture_output=True, text=True, timeout=120, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("True")


def test_a_square_parameter_transposed_in_place_keeps_its_momentum_straight():
    paths = []
    for library in (torch.optim, optim):
        p = nn.Parameter(torch.zeros(3, 3))
        optimizer = library.SGD([p], lr=1.0, momentum=0.5)
        p.grad = torch.arange(9.0).reshape(3, 3)
        optimizer.step()
        p.data = p.data.t()
        p.grad = torch.zeros(3, 3).t()
        optimizer.step()
        paths.append(p.detach().clone())
    assert torch.equal(*paths)


def test_a_profiler_runs_through_the_first_step():
    p = nn.Parameter(torch.zeros(4))
    p.grad = torch.ones(4)

    @rule("Fresh")
    def fresh(g, *, lr=0.25):
        """Be traced for the first time under the profiler."""
        return lr * g

    optimizer = thalweg.Optimizer([p], fresh, lr=1.0)
    cProfile.Profile().runcall(optimizer.step)
    assert torch.equal(p.detach(), torch.full((4,), -1.0))


def test_a_subclass_with_a_step_of_its_own_runs_once_with_hooks_once():
    seen = []

    class Mine(thalweg.Optimizer):
        def step(self, closure=None):
            seen.append("body")
            return super().step(closure)

    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.ones(2)
    optimizer = Mine([p], sgd)
    optimizer.register_step_pre_hook(lambda *_: seen.append("pre"))
    optimizer.register_step_post_hook(lambda *_: seen.append("post"))
    optimizer.step()
    assert seen == ["body", "pre", "post"]


@pytest.mark.parametrize("name", ["p", "step", "t", "params", "foreach", "nonfinite"])
@pytest.mark.parametrize("shape", ["g, *, lr=0.1, {}=0.5", "g, {}=0.5, *, lr=0.1"])
def test_names_with_a_meaning_cannot_be_taken(name, shape):
    space: dict = {}
    exec(f"def wrong({shape.format(name)}): return lr * g", space)
    with pytest.raises(BadValue, match=f"{name!r} cannot name"):
        rule("Wrong")(space["wrong"])


def test_slots_may_not_begin_at_what_is_not_there():
    from thalweg.algebra import first_gradient, from_hyper, from_input

    with pytest.raises(BadValue, match='from_input."p"'):
        rule("a")(lambda g, m=from_input("g"), *, lr=0.1: (lr * g, m))
    with pytest.raises(ValueError, match="no such hyperparameter"):
        rule("b")(lambda g, m=from_hyper("rate"), *, lr=0.1: (lr * g, m))
    with pytest.raises(BadValue, match="only where gradients pass"):
        transform("c")(lambda step, m=first_gradient: (step, m))


def test_a_slot_and_a_hyperparameter_of_one_name_are_told_apart_by_refusal():
    @transform("other")
    def other(g, lr=0.0):
        return g, lr

    with pytest.raises(BadValue, match="of one name: lr"):
        chain(other, sgd)


def test_slots_that_swap_are_swapped_on_both_engines():
    @rule("Swap")
    def swap(g, a=1.0, b=2.0, *, lr=0.1):
        return lr * g * a, b, a

    for start in (torch.zeros(4), torch.zeros(4, 2)[:, 0]):
        p = nn.Parameter(start)
        optimizer = thalweg.Optimizer([p], swap)
        p.grad = torch.ones(4)
        optimizer.step()
        assert optimizer.state[p]["a"].tolist() == [2.0] * 4
        assert optimizer.state[p]["b"].tolist() == [1.0] * 4
