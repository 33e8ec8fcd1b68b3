"""Steps of differentiable groups are part of the graph: backward reaches all that led to them."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from twins import CASES, assert_same_bits, build, label, leaf

import thalweg
from thalweg import optim
from thalweg.errors import BadValue
from thalweg.kernels.cpu_launch import CpuLaunch
from thalweg.kernels.eager import EagerLaunch
from thalweg.rules import Rule, adam, chain, clip_by_global_norm, decay, ema_average, nadam

ALL = [*CASES, ("SGDW", {}), ("SGDW", {"maximize": True, "dampening": 0.2})]
EVERY = pytest.mark.parametrize("case", ALL, ids=label)
TORCHS = pytest.mark.parametrize("case", CASES, ids=label)
STEPS = 3


def numbers(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


def stepped(optimizer: Any, p: Tensor, grads: Any) -> list[Tensor]:
    """Return *p* and its state, all that is part of the graph, after a step by each gradient."""
    for g in grads:
        p.grad = g
        optimizer.step()
    state = optimizer.state[p].values()
    return [p, *(v for v in state if isinstance(v, Tensor) and v.requires_grad)]


def made(case: Any, p: Tensor, source: Any = optim, **more: Any) -> Any:
    name, settings = case
    return build(source, name, [p], differentiable=True, **{**settings, **more})


@EVERY
def test_backward_reaches_the_start_and_every_gradient(case: Any) -> None:
    def end(start: Tensor, grads: Tensor) -> tuple[Tensor, ...]:
        p = start.clone()
        return tuple(stepped(made(case, p), p, grads.unbind()))

    assert torch.autograd.gradcheck(end, (numbers(0, 3), numbers(1, STEPS, 3)))


VALUES = {
    "lr": 0.05, "momentum": 0.8, "dampening": 0.1, "weight_decay": 0.1, "lr_decay": 0.1,
    "initial_accumulator_value": 0.2, "eps": 0.02, "rho": 0.8, "alpha": 0.9, "beta1": 0.8,
    "beta2": 0.9, "momentum_decay": 0.3, "etaminus": 0.5, "etaplus": 1.2, "step_size_min": 0.028,
    "step_size_max": 0.058,
}  # fmt: skip
"""Numbers inside the legal ranges at which every hyperparameter makes a difference."""


def hyperparameters(case: Any, rule: Rule) -> dict[str, Tensor]:
    """Return tensors for the hyperparameters of *rule*; Nesterov excludes dampening."""
    fixed = {"dampening": 0.0} if case[1].get("nesterov") else {}
    values = {name: {**VALUES, **fixed}[name] for name in rule.hyperparameters}
    return {n: torch.tensor(v, dtype=torch.float64, requires_grad=True) for n, v in values.items()}


def as_settings(optimizer: Any, hyper: dict[str, Tensor]) -> dict[str, Any]:
    """Return *hyper* under the keys that the groups of *optimizer* have for them."""
    found: dict[str, Any] = {}
    for name, value in hyper.items():
        key, index = optimizer.places.get(name, (name, None))
        found[key] = value if index is None else (*found.get(key, ()), value)
    return found


@EVERY
def test_backward_reaches_every_hyperparameter_as_through_the_pure_rule(case: Any) -> None:
    start, grads = numbers(0, 5), numbers(1, STEPS, 5)
    model = made(case, start.clone())
    rule = model.rule_of(model.param_groups[0])
    hyper = hyperparameters(case, rule)
    p = start.clone()
    ends = stepped(made(case, p, **as_settings(model, hyper)), p, grads)
    new, state = start, rule.init(start, **hyper)
    for t, g in enumerate(grads, 1):
        new, state = rule.update(new, g, state, t=t, **hyper)
    wanted = (start, grads, *hyper.values())
    ours = torch.autograd.grad(total(ends), wanted, allow_unused=True)
    theirs = torch.autograd.grad(total([new, *state.values()]), wanted, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-14)


def total(ends: list[Tensor]) -> Tensor:
    """Return one number that depends on every element in its own way."""
    return torch.stack([(torch.sin(each.double()) * each).sum() for each in ends]).sum()


TORCH_MIXES_IN_FLOAT32 = {"NAdam": 1e-6}
"""Where torch multiplies by numbers it has rounded to float32; elsewhere it is held to 1e-11."""


@TORCHS
def test_a_step_has_the_derivatives_of_torchs_step(case: Any) -> None:
    """From the middle of a run: torch forgets the graph of its first momentum buffer."""
    p, g = numbers(0, 5), numbers(1, 5)
    middle = leaf(p.clone())
    earlier = build(torch.optim, case[0], [middle], **case[1])
    stepped(earlier, middle, numbers(2, STEPS, 5).detach())
    state = {
        k: v.detach().double().requires_grad_(k != "step") for k, v in earlier.state[middle].items()
    }
    wanted = (p, g, *(v for v in state.values() if v.requires_grad))

    def step(source: Any) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        q = p.clone()
        optimizer = made(case, q, source)
        optimizer.state[q].update({key: value.clone() for key, value in state.items()})
        ends = stepped(optimizer, q, [g])
        return ends, torch.autograd.grad(total(ends), wanted)

    share = TORCH_MIXES_IN_FLOAT32.get(case[0], 1e-11)
    torch.testing.assert_close(step(optim), step(torch.optim), rtol=share, atol=share * 1e-3)


@EVERY
def test_steps_are_those_that_are_not_recorded(case: Any) -> None:
    name, settings = case
    plain = leaf(numbers(0, 20).clone())
    p, grads = plain.detach().clone(), numbers(1, 12, 20).detach()
    stepped(build(optim, name, [plain], **settings), plain, grads)
    stepped(made(case, p), p, grads)
    torch.testing.assert_close(p, plain.detach(), rtol=1e-12, atol=1e-15)


def network() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    return model, numbers(1, 8, 4).detach(), numbers(2, 8, 1).detach()


def loss_at(model: nn.Module, params: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Return the loss of *model* at copies of *params*, which steps do not write to."""
    names = (name for name, _ in model.named_parameters())
    copies = dict(zip(names, (p.clone() for p in params), strict=True))
    return nn.functional.mse_loss(torch.func.functional_call(model, copies, (x,)), y)


@pytest.mark.parametrize("rule", [nadam, chain(clip_by_global_norm, adam, decay, ema_average)])
def test_training_inside_training_learns_the_start_and_the_rate(rule: Rule) -> None:
    model, x, y = network()
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)

    params = [p.clone() for p in model.parameters()]
    optimizer = thalweg.Optimizer(params, rule, lr=lr, differentiable=True)
    for _ in range(STEPS):
        grads = torch.autograd.grad(loss_at(model, params, x, y), params, create_graph=True)
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        optimizer.step()
    loss_at(model, params, x, y).backward()
    found = [p.grad for p in (*model.parameters(), lr)]

    pure = [p.clone() for p in model.parameters()]
    state = rule.init(pure, lr=lr)
    for t in range(1, STEPS + 1):
        grads = torch.autograd.grad(loss_at(model, pure, x, y), pure, create_graph=True)
        pure, state = rule.update(pure, grads, state, t=t, lr=lr)
    expected = torch.autograd.grad(loss_at(model, pure, x, y), [*model.parameters(), lr])
    torch.testing.assert_close(found, list(expected), rtol=1e-10, atol=1e-14)


def test_a_coordinate_without_a_gradient_passes_on_finite_derivatives() -> None:
    start, g = numbers(0, 3), torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64)
    g.requires_grad_()
    for case in ALL:
        p = start.clone()
        ends = stepped(made(case, p), p, [g, g])
        found = torch.autograd.grad(total(ends), (start, g))
        assert all(each.isfinite().all() for each in found), label(case)


def test_complex_and_low_precision_parameters_are_part_of_the_graph() -> None:
    start = torch.complex(numbers(0, 3), numbers(1, 3)).detach().requires_grad_()
    grads = torch.complex(numbers(2, 2, 3), numbers(3, 2, 3)).detach().requires_grad_()

    def end(start: Tensor, grads: Tensor) -> Tensor:
        p = start.clone()
        return stepped(made(("Adam", {}), p), p, grads.unbind())[0]

    assert torch.autograd.gradcheck(end, (start, grads))
    low, few = (numbers(seed, *shape).bfloat16() for seed, shape in ((4, (3,)), (5, (2, 3))))
    found, expected = (
        torch.autograd.grad(end(*given).sum(), given)
        for given in ((low, few), (low.double(), few.double()))
    )
    for ours, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, exact.bfloat16(), rtol=2**-5, atol=0)


def test_steps_are_recorded_even_where_recording_is_off() -> None:
    start, grads = numbers(0, 3), numbers(1, 2, 3)
    found = []
    for recording in (True, False):
        p, given = start.clone(), grads.unbind()
        with torch.set_grad_enabled(recording):
            stepped(made(("AdamW", {}), p), p, given)
        found.append(torch.autograd.grad(p.sum(), (start, grads)))
    assert_same_bits(found[1], found[0])


def test_gradients_that_are_zeroed_afterwards_leave_the_record_alone() -> None:
    start, g = numbers(0, 3), numbers(1, 3).detach()
    p = start.clone()
    lr = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    optimizer = made(("SGD", {}), p, lr=lr)
    stepped(optimizer, p, [g.clone()])
    optimizer.zero_grad(set_to_none=False)
    (found,) = torch.autograd.grad(p.sum(), lr)
    torch.testing.assert_close(found, -g.sum())


def test_a_rate_that_is_changed_in_place_afterwards_leaves_the_record_alone() -> None:
    p = numbers(0, 3).clone()
    lr = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    optimizer = made(("SGD", {}), p, lr=lr)
    grads = numbers(1, 2, 3)
    stepped(optimizer, p, grads[:1])
    with torch.no_grad():
        lr.mul_(0.5)
    stepped(optimizer, p, grads[1:])
    by_lr, by_grads = torch.autograd.grad(p.sum(), (lr, grads))
    torch.testing.assert_close(by_lr, -grads.sum())
    torch.testing.assert_close(by_grads, -torch.tensor([[0.5], [0.25]]).double().expand(2, 3))


def launches_of(optimizer: Any) -> Iterator[Any]:
    return iter(optimizer._work.launches)


def test_other_groups_keep_their_engine_and_stay_out_of_the_graph() -> None:
    start, plain = numbers(0, 3), leaf(torch.ones(3, dtype=torch.float64))
    p, twin = start.clone(), leaf(plain.clone())
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    groups = [{"params": [plain]}, {"params": [p], "differentiable": True}]
    optimizer = optim.Adam(groups, lr=lr)
    alone = optim.Adam([twin], lr=0.1)
    for g in numbers(1, STEPS, 3):
        p.grad, plain.grad, twin.grad = g, g.detach(), g.detach()
        optimizer.step()
        alone.step()
    assert {type(each) for each in launches_of(optimizer)} == {CpuLaunch, EagerLaunch}
    assert_same_bits([plain], [twin])
    assert plain.is_leaf
    assert not any(v.requires_grad for v in optimizer.state[plain].values())
    p.sum().backward()
    assert start.grad is not None
    assert lr.grad is not None


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_group_can_become_differentiable_and_stop_being_so(dtype: torch.dtype) -> None:
    p = torch.ones(3, dtype=dtype)
    optimizer = optim.Adam([p])
    (group,) = optimizer.param_groups
    grads = torch.view_as_complex(numbers(1, 3, 3, 2)) if p.is_complex() else numbers(1, 3, 3)
    stepped(optimizer, p, grads[:1])
    assert not p.requires_grad
    group["differentiable"] = True
    stepped(optimizer, p, grads[1:2])
    (found,) = torch.autograd.grad(p.abs().sum(), grads, retain_graph=True)
    assert found.any(dim=1).tolist() == [False, True, False]
    group["differentiable"] = False
    before = p.grad_fn
    stepped(optimizer, p, grads[2:])
    assert p.grad_fn is before


def test_a_checkpoint_of_recorded_steps_holds_their_numbers() -> None:
    start, grads = numbers(0, 3), numbers(1, 4, 3)
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    p = start.clone()
    optimizer = made(("Adam", {}), p, lr=lr * 1)
    stepped(optimizer, p, grads[:2])
    q = p.detach().clone()
    resumed = made(("Adam", {}), q)
    resumed.load_state_dict(optimizer.state_dict())
    stepped(optimizer, p, grads[2:])
    stepped(resumed, q, grads[2:])
    assert_same_bits([p], [q])
    (found,) = torch.autograd.grad(q.sum(), grads)
    assert found.any(dim=1).tolist() == [False, False, True, True]


def test_a_parameter_or_state_that_cannot_be_written_to_is_refused_before_anything_changes() -> (
    None
):
    with pytest.raises(BadValue, match=r"shape \(3,\) is a leaf that requires grad.*p\.clone\(\)"):
        optim.Adam([numbers(0, 3)], differentiable=True)
    p = numbers(0, 3).detach()
    optimizer = made(("Adam", {}), p)
    stepped(optimizer, p, [torch.ones_like(p)])
    before = p.clone()
    p.requires_grad_()
    with pytest.raises(BadValue, match="leaf that requires grad"):
        optimizer.step()
    p.requires_grad_(False)
    optimizer.state[p]["exp_avg"].requires_grad_()
    with pytest.raises(BadValue, match="leaf that requires grad"):
        optimizer.step()
    assert_same_bits([p], [before])
    assert optimizer.state[p]["step"] == 1


def test_parameters_that_are_computed_need_a_differentiable_group() -> None:
    with pytest.raises(BadValue, match="computed from other tensors"):
        optim.Adam([{"params": [numbers(0, 3).clone()], "differentiable": False}],
                   differentiable=True)  # fmt: skip


def test_a_rule_that_looks_at_all_parameters_is_differentiable_in_all_groups_or_none() -> None:
    p, q = torch.ones(3), torch.ones(3)
    groups = [{"params": [p]}, {"params": [q], "differentiable": True}]
    optimizer = thalweg.Optimizer(groups, chain(clip_by_global_norm, adam))
    p.grad = q.grad = torch.ones(3)
    with pytest.raises(BadValue, match="looks at all parameters at once.*alike in all"):
        optimizer.step()
    assert not optimizer.state
    assert_same_bits([p, q], [torch.ones(3)] * 2)
    optimizer.param_groups[0]["differentiable"] = True
    optimizer.step()
    assert_same_bits([p], [q])
