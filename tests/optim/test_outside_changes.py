"""Whatever is changed between two steps from outside is noticed by the next one."""

import copy
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from twins import assert_same_bits, assert_same_place, build, give_gradients, largest, leaf

import thalweg
from thalweg import optim
from thalweg.errors import BadValue

Change = Callable[[Any, list[Tensor]], list[Tensor]]


def _replaced_data(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    for p in params:
        p.data = p.data * 0.5
    return params


def _moved_data(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    for p in params:
        p.data = p.data.clone()
    return params


def _other_order(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    params[0].data = params[0].data.t().contiguous().t()
    return params


def _data_in_a_wider_array(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    whole = torch.zeros(8, 8, dtype=torch.float64)
    params[0].data = whole[::2, ::2].copy_(params[0].data)
    return params


def _one_flat_buffer(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    flat = torch.cat([p.data.reshape(-1) for p in params])
    parts = flat.split([p.numel() for p in params])
    for p, part in zip(params, parts, strict=True):
        p.data = part.view(p.shape)
    return params


def _filled_in_place(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        for p in params:
            p.mul_(0.25)
    return params


def _shared_data(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    for p in params:
        p.share_memory_()
    return params


def _replaced_state(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    for p in params:
        optimizer.state[p]["exp_avg"] = torch.full_like(p, 0.5).detach()
    return params


def _assigned_state(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    entry = optimizer.state[params[0]]
    optimizer.state[params[0]] = {name: value.clone() * 0.5 for name, value in entry.items()}
    return params


def _then_changed_inside(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    _assigned_state(optimizer, params)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    optimizer.state[params[0]]["exp_avg"] = torch.ones_like(params[0]).detach()
    return params


def _updated_state(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    optimizer.state[params[0]].update(exp_avg_sq=torch.ones_like(params[0]).detach())
    return params


def _state_with_new_data(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    for entry in optimizer.state.values():
        for value in entry.values():
            value.data = value.data.clone() * 2
    return params


def _shared_state(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    for entry in optimizer.state.values():
        for value in entry.values():
            value.share_memory_()
    return params


def _state_set_to_other_memory(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    for entry in optimizer.state.values():
        entry["exp_avg"].set_(torch.zeros_like(entry["exp_avg"]))
    return params


def _deleted_entry(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    del optimizer.state[params[1]]
    return params


def _popped_entry(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    optimizer.state.pop(params[0])
    return params


def _cleared_state(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    optimizer.state.clear()
    return params


def _plain_state(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    optimizer.state = defaultdict(dict)
    return params


def _later_step(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    optimizer.state[params[0]]["step"] = torch.tensor(100.0)
    optimizer.state[params[1]]["step"].fill_(50.0)
    return params


def _swapped_parameter(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    fresh = leaf(torch.ones(4, 4, dtype=torch.float64))
    optimizer.param_groups[0]["params"][0] = fresh
    return [fresh, *params[1:]]


def _swapped_with_its_state(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    fresh = leaf(params[0].detach()[:2].clone())
    entry = optimizer.state.pop(params[0])
    optimizer.state[fresh] = {k: v[:2].clone() if v.dim() else v for k, v in entry.items()}
    optimizer.param_groups[0]["params"][0] = fresh
    return [fresh, *params[1:]]


def _removed_parameter(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    del optimizer.param_groups[0]["params"][0]
    return params


def _removed_group(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    optimizer.param_groups.pop()
    return params


def _listed_anew(optimizer: Any, params: list[Tensor]) -> list[Tensor]:
    optimizer.param_groups[0]["params"] = list(reversed(optimizer.param_groups[0]["params"]))
    return params


CHANGES: dict[str, Change] = {
    name.strip("_").replace("_", " "): change
    for name, change in list(globals().items())
    if name.startswith("_") and getattr(change, "__module__", "") == __name__
}


def test_all_changes_are_listed() -> None:
    assert len(CHANGES) == 24


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_counts_as_with_torch(name: str) -> None:
    def run(source: Any) -> tuple[list[Tensor], list[float]]:
        generator = torch.Generator().manual_seed(5)
        shapes = ((4, 4), (7,), ())
        params = [leaf(torch.randn(s, generator=generator).double()) for s in shapes]
        groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.2}]
        optimizer = build(source, "Adam", groups, lr=0.1)
        travelled = [0.0] * len(params)
        for step in range(12):
            if step == 6:
                params = CHANGES[name](optimizer, params)
            for p in params:
                p.grad = torch.randn(p.shape, generator=generator).double()
            before = [p.detach().clone() for p in params]
            optimizer.step()
            for k, p in enumerate(params):
                travelled[k] += largest(p.detach() - before[k])
        return params, travelled

    their_params, travelled = run(torch.optim)
    our_params, _ = run(optim)
    assert_same_place(our_params, their_params, travelled)


@pytest.mark.parametrize("name", ["SGD", "Rprop", "Adadelta"])
def test_deleted_state_begins_anew(name: str) -> None:
    options = {"momentum": 0.9, "dampening": 0.5} if name == "SGD" else {}

    def run(source: Any) -> Tensor:
        p = leaf(torch.ones(5, dtype=torch.float64))
        optimizer = build(source, name, [p], lr=0.1, **options)
        for step in range(9):
            if step == 5:
                optimizer.state[p].clear()
                del optimizer.state[p]
            p.grad = torch.linspace(-1, 1, 5, dtype=torch.float64) + step
            optimizer.step()
        return p

    ours, theirs = run(optim), run(torch.optim)
    assert_same_place([ours], [theirs], [largest(theirs - 1)])


def test_state_of_other_optimizers_is_no_change() -> None:
    """The clock of changes is shared; another optimizer's changes must not disturb this one."""
    p, q = leaf(torch.ones(3)), leaf(torch.ones(3))
    first, second = optim.Adam([p]), optim.Adam([q])
    for step in range(6):
        p.grad, q.grad = torch.ones(3) * step, torch.ones(3) * step
        first.step()
        if step == 3:
            second.state[q]["exp_avg"].zero_()
            second.state[q]["exp_avg"] = second.state[q]["exp_avg"] + 5
        second.step()
    alone = leaf(torch.ones(3))
    third = optim.Adam([alone])
    for step in range(6):
        alone.grad = torch.ones(3) * step
        third.step()
    assert torch.equal(p, alone)
    assert not torch.equal(q, alone)


def test_a_parameter_cut_shorter_in_place_is_refused_until_its_state_fits() -> None:
    """The memory begins at the same address, so only the length tells."""
    p = leaf(torch.ones(6))
    optimizer = optim.Adam([p], lr=0.1)
    p.grad = torch.ones(6)
    optimizer.step()
    optimizer.step()
    whole = p.data
    after = whole.clone()
    p.grad = None
    p.data = whole[:3]
    p.grad = torch.ones(3)
    with pytest.raises(BadValue, match=r"shape \(3,\) has state of shape \(6,\)"):
        optimizer.step()
    assert torch.equal(whole, after)
    del optimizer.state[p]
    optimizer.step()
    assert torch.equal(whole[3:], after[3:])
    torch.testing.assert_close(whole[:3], after[:3] - 0.1)


def test_a_parameter_cut_shorter_goes_on_where_nothing_is_kept() -> None:
    p = leaf(torch.ones(6))
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = torch.ones(6)
    optimizer.step()
    optimizer.step()
    whole = p.data
    p.grad = None
    p.data = whole[:3]
    p.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(whole, torch.tensor([-2.0, -2, -2, -1, -1, -1]))


def test_changes_are_noticed_by_copies_too() -> None:
    p = leaf(torch.ones(3))
    optimizer = optim.Adam([p])
    p.grad = torch.ones(3)
    optimizer.step()
    again = copy.deepcopy(optimizer)
    (q,) = again.param_groups[0]["params"]
    again.step()
    again.state[q]["exp_avg"] = torch.zeros(3)
    q.grad = torch.zeros(3)
    before = q.detach().clone()
    again.step()
    assert torch.equal(q, before)


def test_a_switch_turned_in_a_group_changes_its_rule() -> None:
    """Turning amsgrad on begins the slot that it needs, as torch does for a new parameter."""
    p = leaf(torch.ones(3, dtype=torch.float64))
    optimizer = optim.Adam([p], lr=0.1)
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert "max_exp_avg_sq" not in optimizer.state[p]
    optimizer.param_groups[0]["amsgrad"] = True
    optimizer.step()
    assert torch.equal(optimizer.state[p]["max_exp_avg_sq"], optimizer.state[p]["exp_avg_sq"])


@pytest.mark.parametrize("rule", ["adam", "momentum"])
def test_a_rule_by_name_notices_replaced_data(rule: str) -> None:
    ends = []
    for replace in (False, True):
        params = [leaf(torch.ones(4)), leaf(torch.ones(3, 3))]
        optimizer = thalweg.Optimizer(params, rule, lr=0.1)
        for step in range(10):
            give_gradients(params, step)
            if replace:
                _moved_data(optimizer, params)
            optimizer.step()
        ends.append(params)
    assert_same_bits(*ends)
