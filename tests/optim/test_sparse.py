"""Sparse gradients under optimizers: torch's path, lazy rows, changing layouts, checkpoints."""

import copy
import math
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from twins import NAMES, assert_same_bits, assert_same_place, build, largest, leaf

import thalweg
from thalweg import optim
from thalweg.errors import BadType, BadValue
from thalweg.rules import adam, chain, clip_by_global_norm, decay, ema_average

EVERY = [*NAMES, "SGDW", "SparseAdam"]
SHAPE = (12, 3)


def table(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return leaf(torch.randn(shape or SHAPE, generator=generator, dtype=torch.float64).to(dtype))


def named(p: Tensor, step: int) -> Tensor:
    """Return the sparse gradient of update number *step*: some rows, some of them twice.

    Every fifth names no row.
    """
    generator = torch.Generator().manual_seed(step)
    size = 0 if step % 5 == 4 else len(p) // 2
    indices = torch.randint(0, len(p), (1, size), generator=generator)
    part = torch.randn((size, *p.shape[1:]), generator=generator, dtype=torch.float64)
    return torch.sparse_coo_tensor(indices, part.to(p.dtype), p.shape, check_invariants=True)


def gradient(indices: list[int], part: Tensor) -> Tensor:
    """Return a gradient of four rows: for each of *indices*, which may repeat, a row of *part*."""
    places = torch.tensor([indices])
    return torch.sparse_coo_tensor(places, part, (4, *part.shape[1:]), check_invariants=True)


def rows_of(g: Tensor) -> Tensor:
    """Return which rows *g* names."""
    found = torch.zeros(len(g), dtype=torch.bool)
    found[g._indices()[0]] = True
    return found


def train(optimizer: Any, params: list[Tensor], steps: range) -> list[float]:
    """Take *steps* on sparse gradients; return how far each parameter's fastest element went."""
    travelled = [0.0] * len(params)
    for step in steps:
        before = [p.detach().clone() for p in params]
        for k, p in enumerate(params):
            p.grad = named(p, 31 * step + k)
        optimizer.step()
        for k, p in enumerate(params):
            travelled[k] += largest(p.detach() - before[k])
    return travelled


def state_of(optimizer: Any) -> list[Tensor]:
    return [value for entry in optimizer.state.values() for value in entry.values()]


AS_TORCH: list[tuple[str, dict[str, Any]]] = [
    ("SparseAdam", {"lr": 0.1}),
    ("SparseAdam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-2}),
    ("SparseAdam", {"lr": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "maximize": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-3}),
]


@pytest.mark.parametrize("shape", [SHAPE, (12,), (5, 2, 3)], ids=str)
@pytest.mark.parametrize(("name", "options"), AS_TORCH)
def test_it_takes_torchs_path(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    theirs, ours = [table(*shape)], [table(*shape)]
    travelled = train(build(torch.optim, name, theirs, **options), theirs, range(30))
    train(build(optim, name, ours, **options), ours, range(30))
    assert travelled[0] > 0.5
    assert_same_place(ours, theirs, travelled)


@pytest.mark.parametrize("name", ["SparseAdam", "Adagrad", "SGD"])
def test_a_run_may_change_between_torch_and_us_at_any_checkpoint(name: str) -> None:
    straight, params = [table()], [table()]
    travelled = train(build(torch.optim, name, straight, lr=0.1), straight, range(20))
    saved = None
    for leg, source in enumerate((torch.optim, optim, torch.optim, optim)):
        optimizer = build(source, name, params, lr=0.1)
        if saved is not None:
            assert saved["state"].get(0, {}).keys() <= {"step", "exp_avg", "exp_avg_sq", "sum"}
            optimizer.load_state_dict(saved)
        train(optimizer, params, range(5 * leg, 5 * leg + 5))
        saved = copy.deepcopy(optimizer.state_dict())
    assert_same_place(params, straight, travelled)


def test_the_keys_of_a_checkpoint_are_torchs() -> None:
    found = []
    for source in (torch.optim, optim):
        params = [table()]
        optimizer = build(source, "SparseAdam", params)
        train(optimizer, params, range(3))
        saved = optimizer.state_dict()
        entry = {k: v if k == "step" else v.shape for k, v in saved["state"][0].items()}
        found.append((entry, type(entry["step"]), saved["param_groups"]))
    assert found[0] == found[1]


def test_a_momentum_that_torch_kept_sparse_is_loaded() -> None:
    theirs = table()
    first = torch.optim.SGD([theirs], momentum=0.9)
    train(first, [theirs], range(1))
    saved = first.state_dict()
    assert saved["state"][0]["momentum_buffer"].is_sparse
    p = table()
    second = optim.SGD([p], momentum=0.9)
    second.load_state_dict(saved)
    assert torch.equal(
        second.state[p]["momentum_buffer"], saved["state"][0]["momentum_buffer"].to_dense()
    )
    train(second, [p], range(1, 3))


@pytest.mark.parametrize("name", EVERY)
def test_every_class_moves_the_rows_that_are_named_and_no_others(name: str) -> None:
    """One step at a time: named rows go where a dense step takes them, others stay untouched."""
    options = {"momentum": 0.9} if name == "SGD" else {}
    p = table()
    optimizer = build(optim, name, [p], lr=0.1, **options)
    for step in range(4):
        g = named(p, step)
        twin, (q,) = copied(optimizer)
        before = [each.clone() for each in (p.detach(), *state_of(optimizer))]
        q.grad, p.grad = g.to_dense(), g
        twin.step()
        optimizer.step()
        touched = rows_of(g)
        after = [p.detach(), *state_of(optimizer)]
        for ours, dense in zip(after, (q.detach(), *state_of(twin)), strict=True):
            part = touched if ours.dim() else ...
            assert torch.equal(ours[part], dense[part])
        for ours, old in zip(after, before, strict=False):
            assert not ours.dim() or torch.equal(ours[~touched], old[~touched])


def copied(optimizer: Any) -> tuple[Any, list[Tensor]]:
    """Return a deep copy of an optimizer, and its parameters."""
    twin = copy.deepcopy(optimizer)
    return twin, twin.param_groups[0]["params"]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", ["compiled", "eager"])
def test_dense_and_sparse_gradients_may_follow_each_other(name: str, kind: str) -> None:
    """A gradient that names every row is the dense one in another form."""
    dtype = torch.float64 if kind == "compiled" else torch.bfloat16
    options = {"eps": 1e-3} if name not in ("SGD", "SGDW", "Rprop") else {"momentum": 0.9}
    options = {} if name == "Rprop" else options
    ends = []
    for forms in ("ddddddd", "sssssss", "dsdssd-", "sd-dsds", "s-ddsds"):
        p, other = table(dtype=dtype), table(5, dtype=dtype)
        optimizer = build(optim, name, [p, other], lr=0.1, **options)
        for step, form in zip(range(7), forms, strict=True):
            g = torch.full(SHAPE, 1.0 + step, dtype=dtype)
            p.grad = g.to_sparse(1) if form == "s" else g
            other.grad = None if form == "-" else torch.full((5,), 1.0 + step, dtype=dtype)
            optimizer.step()
        ends.append([p, *optimizer.state[p].values()])
    for end in ends[1:]:
        assert_same_bits(end, ends[0])


def test_a_parameter_may_rest_between_sparse_gradients() -> None:
    p, q = table(), table()
    resting, straight = optim.Adam([p]), optim.Adam([q])
    for step in range(4):
        p.grad = q.grad = named(p, step)
        resting.step()
        straight.step()
        p.grad = None
        resting.step()
    assert_same_bits([p, *resting.state[p].values()], [q, *straight.state[q].values()])


def test_sparse_and_dense_parameters_share_a_group() -> None:
    def run(together: bool) -> list[Tensor]:
        words, weights, narrow = table(), table(4, 5), table(dtype=torch.float32)
        params = [words, weights, narrow]
        groups = [{"params": params}] if together else [{"params": [p]} for p in params]
        optimizers = [optim.AdamW([group], lr=0.1) for group in groups]
        for step in range(6):
            words.grad, narrow.grad = named(words, step), named(narrow, step + 1)
            weights.grad = torch.full((4, 5), step - 2.5, dtype=torch.float64)
            for optimizer in optimizers:
                optimizer.step()
        return [*params, *(value for each in optimizers for value in state_of(each))]

    assert_same_bits(run(together=True), run(together=False))


def test_groups_have_settings_of_their_own() -> None:
    still, moving = table(), table()
    optimizer = optim.Adam([{"params": [still], "lr": 0.0}, {"params": [moving], "lr": 1.0}])
    train(optimizer, [still, moving], range(2))
    assert torch.equal(still, table())
    assert not torch.equal(moving, table())
    optimizer.param_groups[0]["lr"] = 1.0
    train(optimizer, [still, moving], range(2, 3))
    assert not torch.equal(still, table())


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
def test_embeddings_learn_to_be_told_apart(layer: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(layer(50, 8, sparse=True), nn.Linear(8, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    words, classes = torch.arange(30)[:, None], torch.arange(30) % 3
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(words).reshape(30, 3), classes)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_rows_that_are_not_named_neither_decay_nor_are_averaged() -> None:
    rule = chain(adam, decay, ema_average)
    p = leaf(torch.ones(4, 2))
    optimizer = thalweg.Optimizer([p], rule, lr=0.1, weight_decay=0.5)
    for _ in range(3):
        p.grad = gradient([2], torch.ones(1, 2))
        optimizer.step()
    rest = torch.tensor([0, 1, 3])
    entry = optimizer.state[p]
    assert float(entry["step"]) == 3
    assert torch.equal(p[rest], torch.ones(3, 2))
    assert torch.equal(entry["average"][rest], torch.ones(3, 2))
    assert not entry["exp_avg"][rest].any()
    assert (p[2] < 0.9).all()


def test_stopping_and_going_on_gives_the_bits_of_never_stopping() -> None:
    straight, resumed = [table()], [table()]
    first = optim.NAdam(straight)
    train(first, straight, range(8))
    second = optim.NAdam(resumed)
    for leg in range(4):
        saved = copy.deepcopy(second.state_dict())
        second = optim.NAdam(resumed)
        second.load_state_dict(saved)
        train(second, resumed, range(2 * leg, 2 * leg + 2))
    assert_same_bits([*resumed, *state_of(second)], [*straight, *state_of(first)])


def test_backward_notices_that_the_parameter_changed() -> None:
    p = table()
    loss = (p**3).sum()
    train(optim.Adam([p]), [p], range(1))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_gradient_that_was_cleared_is_not_kept_alive() -> None:
    p = table()
    optimizer = optim.Adam([p])
    for step in range(3):
        g = named(p, step).coalesce()
        p.grad = g
        optimizer.step()
        kept = weakref.ref(g._values())
        optimizer.zero_grad()
        del g
        assert kept() is None


def test_a_rule_that_needs_every_element_is_refused_and_nothing_changes() -> None:
    p, other = table(), table(5)
    optimizer = thalweg.Optimizer([p, other], chain(clip_by_global_norm, adam))
    p.grad, other.grad = named(p, 0), torch.ones(5, dtype=torch.float64)
    for _ in range(2):
        with pytest.raises(BadType, match=r"sums over every element.*sparse=False"):
            optimizer.step()
        assert not optimizer.state
    assert_same_bits([p, other], [table(), table(5)])
    for _ in range(2):
        p.grad = torch.ones_like(p).detach()
        optimizer.step()
    p.grad = named(p, 1)
    before = [each.clone() for each in (p.detach(), other.detach(), *state_of(optimizer))]
    with pytest.raises(BadType, match="cannot take a sparse gradient"):
        optimizer.step()
    assert_same_bits([p.detach(), other.detach(), *state_of(optimizer)], before)


@pytest.mark.parametrize("policy", ["skip", "raise"])
@pytest.mark.parametrize("part", [[math.nan, 1.0], [3e38, 3e38]], ids=["nan", "overflowing sum"])
def test_the_policy_for_bad_gradients_sees_sparse_ones(policy: str, part: list[float]) -> None:
    p = leaf(torch.ones(4, 1))
    optimizer = thalweg.Optimizer([p], "adam", nonfinite=policy)
    p.grad = gradient([2, 2], torch.tensor(part)[:, None])
    if policy == "raise":
        with pytest.raises(BadValue, match="parameters 0 .*hold NaN or infinity"):
            optimizer.step()
    else:
        optimizer.step()
        assert optimizer.skipped_steps == 1
    assert torch.equal(p, torch.ones(4, 1))
    assert not optimizer.state


def test_a_gradient_scaler_scales_back_and_skips() -> None:
    p, q = leaf(torch.ones(4, 2)), leaf(torch.ones(4, 2))
    scaled, plain = optim.SGD([p], lr=0.5), optim.SGD([q], lr=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for index, size in zip(count(), (1.0, math.inf, 2.0)):
        q.grad = gradient([index], torch.full((1, 2), size))
        scaler.scale(torch.zeros(()))
        p.grad = q.grad * scaler.get_scale()
        scaler.step(scaled)
        scaler.update()
        if math.isfinite(size):
            plain.step()
    assert torch.equal(p, q)
    assert p[:, 0].tolist() == [0.5, 1.0, 0.0, 1.0]
