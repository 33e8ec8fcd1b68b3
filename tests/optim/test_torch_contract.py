"""What torch promises of any optimizer holds of ours: groups, closures, hooks, copies, modes."""

import copy
import pickle
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from twins import (
    NAMES,
    assert_same_bits,
    assert_same_place,
    build,
    give_gradients,
    leaf,
    parameters,
    ready,
    train,
)

import thalweg
from thalweg import optim
from thalweg.errors import BadType
from thalweg.rules import Rule, adam, chain, clip_by_value, decay, rule
from thalweg.testing import check_optimizer

EVERY = [*NAMES, "SGDW", "SparseAdam"]


@pytest.mark.parametrize("name", EVERY)
def test_every_class_keeps_the_published_contract(name: str) -> None:
    checks = list(check_optimizer(lambda params: build(optim, name, params, lr=0.01)))
    assert len(checks) > 10
    for check in checks:
        check()


@pytest.mark.parametrize("name", EVERY)
def test_a_group_added_in_training_begins_its_own_clock(name: str) -> None:
    together, apart = parameters(), parameters()
    optimizer = build(optim, name, together[:3], lr=0.01)
    train(optimizer, together[:3], range(5))
    optimizer.add_param_group({"params": together[3:], "lr": 0.1})
    early, late = build(optim, name, apart[:3], lr=0.01), build(optim, name, apart[3:], lr=0.1)
    train(early, apart[:3], range(5))
    for step in range(5, 15):
        give_gradients(together, step)
        give_gradients(apart, step)
        optimizer.step()
        early.step()
        late.step()
    assert_same_bits(together, apart)


def test_adding_a_group_leaves_the_callers_dict_alone() -> None:
    group = {"params": parameters()}
    optimizer = optim.Adam([leaf(torch.ones(2))])
    optimizer.add_param_group(group)
    assert list(group) == ["params"]
    assert optimizer.param_groups[1]["betas"] == (0.9, 0.999)


def test_groups_may_be_given_as_iterators() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    groups = [{"params": model[0].parameters()}, {"params": iter(model[1].parameters()), "lr": 1.0}]
    optimizer = optim.Adam(iter(groups))
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 2]


def test_a_group_may_be_one_tensor() -> None:
    p = leaf(torch.ones(3))
    optimizer = optim.SGD([{"params": p}], lr=1.0)
    p.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(p, torch.zeros(3))


def test_names_of_parameters_are_kept_as_torch_keeps_them() -> None:
    model = nn.Linear(3, 2)
    optimizer = optim.AdamW(model.named_parameters())
    theirs = torch.optim.AdamW(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    model(torch.ones(3)).sum().backward()
    optimizer.step()
    theirs.step()
    names = [saved["param_groups"][0]["param_names"]
             for saved in (optimizer.state_dict(), theirs.state_dict())]  # fmt: skip
    assert names == [["weight", "bias"]] * 2
    again = optim.AdamW(model.named_parameters())
    again.load_state_dict(optimizer.state_dict())
    assert again.param_groups[0]["param_names"] == ["weight", "bias"]


def test_a_closure_runs_once_with_gradients_on_and_its_value_comes_back() -> None:
    p = leaf(torch.tensor([3.0]))
    optimizer = optim.SGD([p], lr=0.25)
    modes = []

    def closure() -> Tensor:
        modes.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        loss = optimizer.step(closure)
    assert modes == [True]
    assert loss.item() == 9.0
    assert p.item() == 1.5
    assert optimizer.step(closure=closure).item() == 2.25
    assert optimizer.step() is None


def test_an_error_in_a_closure_changes_nothing() -> None:
    optimizer, params = ready("Adam")
    give_gradients(params, 8)
    before = [p.detach().clone() for p in params]

    def closure() -> float:
        raise ArithmeticError("no loss today")

    with pytest.raises(ArithmeticError, match="today"):
        optimizer.step(closure)
    assert_same_bits([p.detach() for p in params], before)
    assert not optimizer.state


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def _global_hooks(seen: list[str]) -> Iterator[None]:
    handles = [
        register_optimizer_step_pre_hook(lambda *_: seen.append("global before")),
        register_optimizer_step_post_hook(lambda *_: seen.append("global after")),
    ]
    yield
    for handle in handles:
        handle.remove()


@pytest.mark.usefixtures("_global_hooks")
@pytest.mark.parametrize("source", [torch.optim, optim])
def test_hooks_run_in_torchs_order(source: Any, seen: list[str]) -> None:
    p = leaf(torch.ones(2))
    optimizer = build(source, "SGD", [p])
    handles = [
        optimizer.register_step_pre_hook(lambda *_: seen.append(f"before {p[0].item():g}")),
        optimizer.register_step_post_hook(lambda *_: seen.append(f"after {p[0].item():g}")),
    ]
    optimizer.param_groups[0]["lr"] = 1.0
    p.grad = torch.ones(2)
    optimizer.step()
    assert seen == ["global before", "before 1", "after 0", "global after"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert seen[4:] == ["global before", "global after"]


@pytest.mark.parametrize("source", [torch.optim, optim])
def test_a_pre_hook_may_put_other_arguments_in_place(source: Any) -> None:
    optimizer = build(source, "SGD", [leaf(torch.ones(2))])
    given = []

    def hook(own: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        given.append((own is optimizer, len(args), kwargs))
        return (own, lambda: 7.0), {}

    optimizer.register_step_pre_hook(hook)
    assert optimizer.step() == 7.0
    assert optimizer.step(lambda: 1.0) == 7.0
    assert given == [(True, 1, {}), (True, 2, {})]


def test_a_pre_hook_that_returns_something_else_is_refused() -> None:
    optimizer, params = ready("SGD")
    give_gradients(params, 8)
    before = [p.detach().clone() for p in params]
    optimizer.register_step_pre_hook(lambda *_: 3)
    with pytest.raises(BadType, match="returned int; expected None or a pair"):
        optimizer.step()
    assert_same_bits([p.detach() for p in params], before)


def test_hooks_see_the_saving_and_the_loading() -> None:
    optimizer, params = ready("Adam")
    train(optimizer, params, range(2))
    calls: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda _: calls.append("saving"))
    optimizer.register_state_dict_post_hook(lambda _, saved: {**saved, "extra": len(saved)})
    saved = optimizer.state_dict()
    assert calls == ["saving"]
    assert saved["extra"] == 2

    def in_place(own: Any, given: dict) -> None:
        calls.append("loading")
        given["param_groups"] = [{**given["param_groups"][0], "lr": 0.5}]

    optimizer.register_load_state_dict_pre_hook(in_place)
    optimizer.register_load_state_dict_post_hook(lambda own: calls.append("loaded"))
    optimizer.load_state_dict(saved)
    assert calls == ["saving", "loading", "loaded"]
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert saved["param_groups"][0]["lr"] == 1e-3


def test_a_loading_hook_may_return_another_checkpoint() -> None:
    first, params = ready("Adam", lr=0.25)
    train(first, params, range(8))
    second = optim.Adam(params)
    second.register_load_state_dict_pre_hook(lambda own, given: given["wrapped"])
    second.load_state_dict({"wrapped": first.state_dict()})
    assert second.param_groups[0]["lr"] == 0.25
    assert len(second.state) == len(first.state)


def test_zero_grad_clears_or_fills() -> None:
    optimizer, params = ready("Adam")
    give_gradients(params, 8)
    grads = [p.grad for p in params if p.grad is not None]
    optimizer.zero_grad(set_to_none=False)
    assert grads
    assert all(not g.any() for g in grads)
    assert [p.grad for p in params if p.grad is not None] == grads
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)


@pytest.mark.parametrize("name", EVERY)
def test_copies_go_on_alike_and_apart(name: str) -> None:
    optimizer, params = ready(name)
    train(optimizer, params, range(9))
    copies = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))]
    train(optimizer, params, range(9, 18))
    for each in copies:
        assert type(each) is type(optimizer)
        own = [p for group in each.param_groups for p in group["params"]]
        assert all(a is not b for a, b in zip(own, params, strict=True))
        train(each, own, range(9, 18))
        assert_same_bits(own, params)


@rule("Halving")
def halving(g, kept=0, *, lr: float = 0.5):
    kept = 0.5 * kept + g
    return lr * kept, kept


def local_rule() -> Rule:
    @rule("Local")
    def local(g, kept=0, *, t, lr: float = 0.5):
        kept = 0.25 * kept + g / t
        return lr * kept, kept

    return local


RULES: dict[str, Rule | str] = {
    "by name": "adam",
    "of a module": halving,
    "a chain": chain(clip_by_value, adam, decay),
    "local": local_rule(),
    "a chain of a local one": chain(clip_by_value, local_rule()),
}


@pytest.mark.parametrize("which", RULES)
def test_copies_keep_their_rule(which: str) -> None:
    params = parameters()
    optimizer = thalweg.Optimizer(params, RULES[which], lr=0.01, nonfinite="skip")
    train(optimizer, params, range(9))
    optimizer.skipped_steps = 4
    copies = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))]
    train(optimizer, params, range(9, 18))
    for each in copies:
        own = [p for group in each.param_groups for p in group["params"]]
        train(each, own, range(9, 18))
        assert_same_bits(own, params)
        assert each.nonfinite == "skip"
        assert each.skipped_steps == 4
        assert each.rule.key == optimizer.rule.key


def test_a_rule_written_as_a_lambda_drives_an_optimizer() -> None:
    p = leaf(torch.ones(3))
    descent = rule("Descent")(lambda g, *, lr=0.5: lr * g)
    optimizer = thalweg.Optimizer([p], descent)
    p.grad = torch.ones(3)
    copied = copy.deepcopy(optimizer)
    optimizer.step()
    copied.step()
    assert torch.equal(p, torch.full((3,), 0.5))
    (other,) = copied.param_groups[0]["params"]
    assert torch.equal(other, p)


@pytest.mark.parametrize("name", EVERY)
def test_gradients_are_never_written_to(name: str) -> None:
    optimizer, params = ready(name)
    for step in range(10):
        give_gradients(params, step)
        held = [p.grad for p in params]
        before = [None if g is None else (g.clone(), g._version) for g in held]
        optimizer.step()
        for p, g, kept in zip(params, held, before, strict=True):
            assert p.grad is g
            if g is not None and kept is not None:
                assert torch.equal(g, kept[0])
                assert g._version == kept[1]


MODES = {"no_grad": torch.no_grad, "inference": torch.inference_mode, "grad": torch.enable_grad}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EVERY)
def test_a_step_is_the_same_in_every_mode_of_autograd(name: str, mode: str) -> None:
    """State begun in inference mode serves outside it too, for compiled and eager rows alike."""
    plain, expected = ready(name)
    inside, params = ready(name)
    train(plain, expected, range(12))
    for step in range(12):
        give_gradients(params, step)
        around: AbstractContextManager = MODES[mode]() if step % 4 < 2 else torch.enable_grad()
        with around:
            inside.step()
    assert_same_bits(params, expected)
    assert not any(v.is_inference() for entry in inside.state.values() for v in entry.values())
    assert all(p.requires_grad and p.is_leaf for p in params)


def test_a_step_leaves_no_graph_behind() -> None:
    optimizer, params = ready("Adam")
    train(optimizer, params, range(9))
    assert all(p.grad_fn is None for p in params)
    values = [v for entry in optimizer.state.values() for v in entry.values()]
    assert values
    assert not any(v.requires_grad for v in values)


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph:UserWarning")
def test_gradients_that_carry_a_graph_are_used_by_value() -> None:
    p = leaf(torch.tensor([2.0, 3.0]))
    optimizer = optim.SGD([p], lr=0.5)
    (p**3).sum().backward(create_graph=True)
    assert p.grad is not None
    assert p.grad.requires_grad
    optimizer.step()
    assert torch.equal(p.detach(), torch.tensor([2 - 6.0, 3 - 13.5]))
    optimizer.zero_grad()


def test_a_step_under_anomaly_detection_is_the_same_step() -> None:
    plain, expected = ready("Adam")
    train(plain, expected, range(6))
    optimizer, params = ready("Adam")
    with torch.autograd.set_detect_anomaly(True):
        train(optimizer, params, range(6))
    assert_same_bits(params, expected)


@pytest.mark.parametrize("source", [torch.optim, optim])
@pytest.mark.parametrize("strided", [False, True])
def test_backward_through_values_of_before_a_step_raises(source: Any, strided: bool) -> None:
    p = leaf(torch.ones(6)[:: 2 if strided else 1])
    optimizer = build(source, "Adam", [p])
    for _ in range(3):
        loss = (p**2).sum()
        p.grad = torch.ones_like(p)
        optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@pytest.mark.parametrize("source", [torch.optim, optim])
def test_a_parameter_without_gradient_keeps_its_version(source: Any) -> None:
    """A graph through a parameter that a step left alone stays good."""
    p, frozen = leaf(torch.ones(2)), leaf(torch.ones(2))
    optimizer = build(source, "Adam", [p, frozen])
    p.grad, frozen.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    frozen.grad = None
    loss = (frozen**2).sum()
    optimizer.step()
    loss.backward()
    assert frozen.grad is not None
    assert torch.equal(frozen.grad, 2 * frozen.detach())


def test_frozen_parts_of_a_model_stay_as_they_are() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    model[0].requires_grad_(False)
    optimizer = optim.AdamW(model.parameters(), weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(16, 4)).square().mean().backward()
        optimizer.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"1.weight", "1.bias", "3.weight", "3.bias"}
    assert len(optimizer.state) == 4


def test_thawed_parameters_begin_when_their_gradients_come() -> None:
    def run(source: Any) -> tuple[list[Tensor], list[float]]:
        params = parameters()[:2]
        params[1].requires_grad_(False)
        optimizer = build(source, "Adam", params, lr=0.1)
        travelled = [0.0, 0.0]
        for step in range(8):
            if step == 4:
                params[1].requires_grad_(True)
            optimizer.zero_grad()
            before = [p.detach().clone() for p in params]
            (params[0].sum() * params[1] - params[1] ** 2).backward()
            optimizer.step()
            for k, p in enumerate(params):
                travelled[k] += float((p.detach() - before[k]).abs().max())
        return params, travelled

    their_params, travelled = run(torch.optim)
    our_params, _ = run(optim)
    assert_same_place(our_params, their_params, travelled)


def test_gradients_with_a_negative_bit_are_read_as_they_print() -> None:
    """torch may hand over a gradient whose memory holds the opposite sign."""
    p = leaf(torch.tensor(2.0))
    optimizer = optim.SGD([p], lr=1.0)
    for expected in (3.0, 4.0, 5.0):
        optimizer.zero_grad()
        z = torch.complex(torch.tensor(1.0), p)
        (z.conj() * torch.tensor(1 + 1j)).imag.sum().backward()
        assert p.grad is not None
        assert p.grad.is_neg()
        assert float(p.grad) == -1.0
        optimizer.step()
        assert p.item() == expected
